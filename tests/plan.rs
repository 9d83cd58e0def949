//! Every folder of `cases/plan`: a `compose.yaml`, what was there before, and the plan in words.
//!
//! What was there before is `before.yaml`, an earlier state of the file that was brought up on the
//! in-memory engine; without it there was nothing. `before-command` names a verb that came after that, and `command`
//! another verb than `up`.

#![expect(
    clippy::disallowed_methods,
    reason = "this test reads its cases itself"
)]

use consort::{
    compose::{self, LoadOptions, source::Disk},
    desired::{self, Condition, DesiredState, PullPolicy},
    engine::{Engine as _, Memory},
    observed::{ImageQuery, ObservedState, Refresh, Scope},
    plan::{
        self, Dependencies, DownOptions, OrphanPolicy, Plan, PullOptions, Recreate, StartOptions,
        StopOptions, UpOptions, Volumes, WaitFor,
    },
    reconcile::{self, Cancel},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

#[test]
fn every_case_is_planned_as_its_text_says() {
    let mut different = String::new();
    for case in cases() {
        let planned = planned(&case);
        let expected = fs::read_to_string(case.join("plan.txt")).unwrap_or_default();
        if planned.trim_end() != expected.trim_end() {
            let name = case.file_name().unwrap().display();
            writeln!(
                different,
                "== {name}, planned:\n{planned}== expected:\n{expected}"
            )
            .unwrap();
        }
    }
    assert!(different.is_empty(), "\n{different}");
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/plan");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn planned(case: &Path) -> String {
    let wanted = load(case, "compose.yaml");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let observed = runtime.block_on(before(case, &wanted));
    let command = fs::read_to_string(case.join("command")).unwrap_or_else(|_| "up".to_owned());
    let plan = command_plan(command.trim(), &wanted, &observed);
    plan.map_or_else(
        |error| format!("cannot {error}\n"),
        |plan| relative(&plan, case).to_string(),
    )
}

/// Names places as a user in the case's folder would.
fn relative(plan: &Plan, case: &Path) -> Plan {
    let json = serde_json::to_string(plan).unwrap();
    serde_json::from_str(&json.replace(&format!("{}/", case.display()), "")).unwrap()
}

fn command_plan(
    command: &str,
    desired: &DesiredState,
    observed: &ObservedState,
) -> Result<Plan, plan::PlanError> {
    let all = BTreeSet::new;
    match command {
        "up" => plan::up(desired, observed, &UpOptions::plain()),
        "up --force-recreate" => {
            let options = UpOptions {
                recreate: Recreate::Force,
                ..UpOptions::plain()
            };
            plan::up(desired, observed, &options)
        }
        "up --remove-orphans" => {
            let options = UpOptions {
                orphans: OrphanPolicy::Remove,
                ..UpOptions::plain()
            };
            plan::up(desired, observed, &options)
        }
        "up --pull always" => {
            let options = UpOptions {
                pull: Some(PullPolicy::Always),
                ..UpOptions::plain()
            };
            plan::up(desired, observed, &options)
        }
        "pull" => {
            let options = PullOptions {
                services: all(),
                dependencies: Dependencies::Skip,
                policy: Some(PullPolicy::Always),
            };
            Ok(plan::pull(desired, observed, &options))
        }
        "start web" => {
            let options = StartOptions {
                services: BTreeSet::from(["web".parse().unwrap()]),
                wait: WaitFor::Started,
            };
            Ok(plan::start(Some(desired), observed, &options))
        }
        "down" => Ok(plan::down(Some(desired), observed, &DownOptions::plain())),
        "down -v" => {
            let options = DownOptions {
                volumes: Volumes::Remove,
                ..DownOptions::plain()
            };
            Ok(plan::down(Some(desired), observed, &options))
        }
        "restart db" => {
            let services = BTreeSet::from(["db".parse().unwrap()]);
            let dependents = Dependencies::Include;
            let options = StopOptions {
                services,
                grace: None,
                dependents,
            };
            Ok(plan::restart(Some(desired), observed, &options))
        }
        "stop" => {
            let dependents = Dependencies::Skip;
            let options = StopOptions {
                services: all(),
                grace: None,
                dependents,
            };
            Ok(plan::stop(observed, &options))
        }
        other => panic!("no case can plan `{other}`"),
    }
}

fn load(case: &Path, file: &str) -> DesiredState {
    let options = LoadOptions {
        cwd: case.to_owned(),
        files: vec![PathBuf::from(file)],
        project_name: Some("demo".to_owned()),
        ..LoadOptions::default()
    };
    let loaded = compose::load(&options, &Disk).unwrap();
    let options = desired::Options {
        scale: BTreeMap::new(),
        source: &Disk,
    };
    desired::expand(&loaded.project, &options).unwrap()
}

/// Brings the earlier state up, where there is one, and looks at it.
async fn before(case: &Path, wanted: &DesiredState) -> ObservedState {
    let engine = Memory::new();
    if case.join("before.yaml").exists() {
        let desired = load(case, "before.yaml");
        prepare(&engine, &desired);
        let plan = plan::up(&desired, &ObservedState::default(), &UpOptions::plain()).unwrap();
        carry_out(&plan, &engine).await;
        if let Ok(command) = fs::read_to_string(case.join("before-command")) {
            let observed = look(&engine, &desired).await;
            let plan = command_plan(command.trim(), &desired, &observed).unwrap();
            carry_out(&plan, &engine).await;
        }
    }
    look(&engine, wanted).await
}

async fn carry_out(plan: &Plan, engine: &Memory) {
    let options = reconcile::Options {
        parallelism: NonZeroUsize::MIN,
        hold: None,
    };
    reconcile::run(plan, engine, options, Cancel::never(), &mut |_| {})
        .await
        .unwrap();
}

async fn look(engine: &Memory, wanted: &DesiredState) -> ObservedState {
    let specs = wanted
        .services
        .values()
        .flat_map(|service| &service.replicas);
    let query = |reference| ImageQuery {
        reference,
        platform: None,
        refresh: Refresh::No,
    };
    let images = specs
        .map(|spec| query(spec.image.reference.clone()))
        .collect();
    let scope = Scope {
        images,
        ..Scope::project(wanted.project.clone())
    };
    engine.observe(&scope).await.unwrap()
}

/// Lets all images be fetched, and jobs that others wait for complete.
fn prepare(engine: &Memory, desired: &DesiredState) {
    for service in desired.services.values() {
        for spec in &service.replicas {
            engine.publish(&spec.image.reference, "sha256:0");
        }
        for (name, needs) in &service.dependencies {
            if needs.condition == Condition::ServiceCompletedSuccessfully {
                engine.exits(name, 0);
            }
        }
    }
}
