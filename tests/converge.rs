//! The laws of planning, over random projects on the in-memory engine.
//!
//! - A second plan is empty.
//! - No step runs before one that it comes after, nor after one of them failed.
//! - A plan that is interrupted at any step and planned again converges.
//! - `down` after anything leaves nothing.

use consort::{
    compose::{Project, model, source},
    desired::{self, DesiredState},
    engine::{Engine as _, Memory},
    observed::{ImageQuery, ObservedState, Refresh, Scope},
    plan::{self, DownOptions, OrphanPolicy, Plan, Recreate, StepId, UpOptions, Volumes},
    reconcile::{self, Cancel, Event, SkipReason},
    value::ServiceName,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

/// Everything happens at once here, so that a walk that takes long waits for nothing.
const HANGS: std::time::Duration = std::time::Duration::from_secs(5);
const NAMES: [&str; 4] = ["api", "db", "job", "web"];
const NETWORKS: [&str; 2] = ["back", "front"];

/// One random service.
#[derive(Clone, Debug, Default)]
struct Wish {
    /// Whether it is in the file.
    present: bool,
    replicas: i64,
    /// On which of the services before it in the alphabet it depends, how, and whether it restarts.
    needs: Vec<(bool, u8, bool)>,
    variable: u8,
    memory: u8,
    networks: Vec<bool>,
    volume: bool,
    anonymous: bool,
    hooks: bool,
    healthcheck: bool,
    always_pull: bool,
    port: bool,
}

prop_compose! {
    fn wish()(
        present in prop::bool::weighted(0.85),
        replicas in 0..3_i64,
        needs in prop::collection::vec((any::<bool>(), 0..3_u8, any::<bool>()), NAMES.len()),
        variable in 0..2_u8,
        memory in 0..2_u8,
        networks in prop::collection::vec(any::<bool>(), NETWORKS.len()),
        flags in prop::collection::vec(any::<bool>(), 5),
        always_pull in prop::bool::weighted(0.1),
    ) -> Wish {
        Wish {
            present, replicas, needs, variable, memory, networks,
            volume: flags[0], anonymous: flags[1], hooks: flags[2], healthcheck: flags[3],
            always_pull, port: flags[4],
        }
    }
}

/// A random project: its services, and a detail of its networks.
#[derive(Clone, Debug)]
struct Wishes {
    services: Vec<Wish>,
    internal: bool,
    /// By how many services each port has moved on.
    turn: usize,
}

prop_compose! {
    fn wishes()(
        services in prop::collection::vec(wish(), NAMES.len()),
        internal: bool,
        turn in 0..NAMES.len(),
    ) -> Wishes {
        Wishes { services, internal, turn }
    }
}

fn service(index: usize, wishes: &Wishes) -> model::Service {
    let wish = &wishes.services[index];
    let needs = NAMES
        .iter()
        .zip(&wish.needs)
        .zip(&wishes.services)
        .take(index);
    let depends_on = needs
        .filter(|((_, (needed, ..)), other)| *needed && other.present)
        .map(|((name, (_, condition, restart)), _)| {
            let condition = match (condition, *name) {
                (_, "job") => model::DependencyCondition::CompletedSuccessfully,
                (0, _) => model::DependencyCondition::Started,
                _ => model::DependencyCondition::Healthy,
            };
            let dependency = model::Dependency {
                condition,
                restart: *restart,
                required: true,
                ..model::Dependency::default()
            };
            ((*name).to_owned(), dependency)
        });
    let networks = NETWORKS.iter().zip(&wish.networks).filter(|(_, on)| **on);
    let mount = |source: Option<&str>, target: &str| model::ServiceVolume {
        kind: "volume".to_owned(),
        source: source.map(ToOwned::to_owned),
        target: target.to_owned(),
        ..model::ServiceVolume::default()
    };
    let mut volumes = Vec::new();
    volumes.extend(wish.volume.then(|| mount(Some("data"), "/data")));
    volumes.extend(wish.anonymous.then(|| mount(None, "/cache")));
    // One replica alone can have it.
    let port = (wish.port && wish.replicas == 1).then(|| model::Port {
        target: 80,
        published: Some((8000 + (index + wishes.turn) % NAMES.len()).to_string()),
        ..model::Port::default()
    });
    let hook = || model::Hook {
        command: Some(vec!["sync".to_owned()]),
        ..model::Hook::default()
    };
    let hooks: Vec<model::Hook> = wish.hooks.then(hook).into_iter().collect();
    model::Service {
        name: NAMES[index].to_owned(),
        image: Some("base:1".to_owned()),
        pull_policy: wish.always_pull.then(|| "always".to_owned()),
        scale: Some(wish.replicas),
        depends_on: depends_on.collect(),
        environment: BTreeMap::from([("LEVEL".to_owned(), Some(wish.variable.to_string()))]),
        pids_limit: i64::from(wish.memory) * 10,
        networks: networks
            .map(|(name, _)| ((*name).to_owned(), None))
            .collect(),
        ports: port.into_iter().collect(),
        volumes,
        pre_stop: hooks.clone(),
        post_start: hooks,
        healthcheck: wish.healthcheck.then(|| model::Healthcheck {
            test: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
            ..model::Healthcheck::default()
        }),
        ..model::Service::default()
    }
}

fn project(wishes: &Wishes) -> Project {
    let present = (0..NAMES.len()).filter(|index| wishes.services[*index].present);
    let network = |name: &&str| {
        let network = model::Network {
            internal: wishes.internal,
            ..model::Network::default()
        };
        ((*name).to_owned(), network)
    };
    Project {
        name: "demo".to_owned(),
        services: present
            .map(|index| (NAMES[index].to_owned(), service(index, wishes)))
            .collect(),
        networks: NETWORKS.iter().map(network).collect(),
        volumes: BTreeMap::from([("data".to_owned(), model::Volume::default())]),
        ..Project::default()
    }
}

fn desire(wishes: &Wishes) -> DesiredState {
    let source = source::Memory::default();
    let options = desired::Options {
        scale: BTreeMap::new(),
        source: &source,
    };
    desired::expand(&project(wishes), &options).expect("random projects have no mistakes")
}

fn engine() -> Memory {
    let engine = Memory::new();
    engine.publish(&"base:1".parse().unwrap(), "sha256:base");
    engine.exits(&name("job"), 0);
    for service in ["api", "db", "web"] {
        engine.health(&name(service), consort::observed::Health::Healthy);
    }
    engine
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

async fn observe(engine: &Memory, desired: &DesiredState) -> ObservedState {
    let images = desired
        .services
        .values()
        .flat_map(|service| &service.replicas);
    let query = |reference| ImageQuery {
        reference,
        platform: None,
        refresh: Refresh::No,
    };
    let scope = Scope {
        images: images
            .map(|spec| query(spec.image.reference.clone()))
            .collect(),
        ..Scope::project(desired.project.clone())
    };
    engine.observe(&scope).await.unwrap()
}

fn up_options() -> UpOptions {
    UpOptions {
        orphans: OrphanPolicy::Remove,
        ..UpOptions::plain()
    }
}

async fn plan_up(engine: &Memory, desired: &DesiredState) -> Plan {
    plan::up(desired, &observe(engine, desired).await, &up_options()).unwrap()
}

/// What a walk did, in order.
#[derive(Debug, Default)]
struct Walked {
    begun: Vec<StepId>,
    succeeded: BTreeSet<StepId>,
    passed_over: BTreeSet<StepId>,
    /// Steps that began although something before them had not succeeded.
    too_early: Vec<StepId>,
}

async fn walk(plan: &Plan, engine: &Memory) -> (Walked, bool) {
    let mut walked = Walked::default();
    let mut watch = |event: Event<'_>| match event {
        Event::StepStarted { step, .. } => {
            let ready =
                |id: &StepId| walked.succeeded.contains(id) || walked.passed_over.contains(id);
            if !step.after.iter().all(ready) {
                walked.too_early.push(step.id);
            }
            walked.begun.push(step.id);
        }
        Event::StepDone { step, .. } => drop(walked.succeeded.insert(step.id)),
        Event::StepSkipped {
            step,
            because: SkipReason::Guard,
        } => {
            walked.passed_over.insert(step.id);
        }
        _ => {}
    };
    let options = reconcile::Options {
        parallelism: NonZeroUsize::new(4).unwrap(),
        hold: None,
    };
    let walk = reconcile::run(plan, engine, options, Cancel::never(), &mut watch);
    let result = tokio::time::timeout(HANGS, walk).await;
    let result = result.unwrap_or_else(|_| panic!("the walk hangs:\n{plan}"));
    if let Err(error) = &result {
        walked.begun.dedup();
        eprintln!("{error}");
    }
    (walked, result.is_ok())
}

/// Pulls that a policy asks for each time are no change, nor is what their result guards. A job that
/// nobody waits for runs at each `up`.
fn changes(plan: &Plan) -> usize {
    let is_change = |step: &&plan::Step| {
        step.guard.is_none()
            && !matches!(step.action, plan::Action::PullImage { .. })
            && !step.action.subject().starts_with("demo-job")
    };
    plan.steps.iter().filter(is_change).count()
}

async fn bring_up(engine: &Memory, desired: &DesiredState) -> Result<(), TestCaseError> {
    let plan = plan_up(engine, desired).await;
    let (walked, succeeded) = walk(&plan, engine).await;
    prop_assert!(succeeded, "{plan}");
    prop_assert_eq!(&walked.too_early, &Vec::new());
    let second = plan_up(engine, desired).await;
    prop_assert_eq!(changes(&second), 0, "after\n{}\nthere is\n{}", plan, second);
    Ok(())
}

async fn take_down(engine: &Memory, desired: &DesiredState) -> Result<(), TestCaseError> {
    let options = DownOptions {
        orphans: OrphanPolicy::Remove,
        volumes: Volumes::Remove,
        ..DownOptions::plain()
    };
    let plan = plan::down(Some(desired), &observe(engine, desired).await, &options);
    let (_, succeeded) = walk(&plan, engine).await;
    prop_assert!(succeeded, "{plan}");
    let left = observe(engine, desired).await;
    prop_assert!(left.is_empty(), "{left:?}\nafter\n{plan}");
    Ok(())
}

fn now<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Sixty projects a law, or what `PROPTEST_CASES` says.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Killed between the removal of a network and its making, and what hung on it changes in place too.
#[test]
fn a_container_changes_in_place_while_its_network_is_away() -> Result<(), TestCaseError> {
    let wishes = |memory, internal| {
        let db = Wish {
            present: true,
            replicas: 1,
            memory,
            networks: vec![false, true],
            ..Wish::default()
        };
        let services = NAMES.map(|name| match name {
            "db" => db.clone(),
            _ => Wish::default(),
        });
        Wishes {
            services: services.to_vec(),
            internal,
            turn: 0,
        }
    };
    now(async {
        let engine = engine();
        bring_up(&engine, &desire(&wishes(1, false))).await?;
        let desired = desire(&wishes(0, true));
        let plan = plan_up(&engine, &desired).await;
        for step in &plan.steps {
            engine.perform(&step.action, &()).await.unwrap();
            if matches!(step.action, plan::Action::RemoveNetwork { .. }) {
                break;
            }
        }
        bring_up(&engine, &desired).await
    })
}

/// Frozen, and its image is fetched each time: whether or not there is a new one, it runs afterwards.
#[test]
fn a_frozen_container_whose_image_may_change_runs_afterwards() {
    let web = Wish {
        present: true,
        replicas: 1,
        always_pull: true,
        ..Wish::default()
    };
    let services = NAMES.map(|name| match name {
        "web" => web.clone(),
        _ => Wish::default(),
    });
    let wishes = Wishes {
        services: services.to_vec(),
        internal: false,
        turn: 0,
    };
    for image in ["sha256:base", "sha256:new"] {
        now(async {
            let (engine, desired) = (engine(), desire(&wishes));
            bring_up(&engine, &desired).await.unwrap();
            let name: consort::value::ContainerName = "demo-web-1".parse().unwrap();
            let pause = plan::Action::PauseContainer { name: name.clone() };
            engine.perform(&pause, &()).await.unwrap();
            engine.publish(&"base:1".parse().unwrap(), image);
            let plan = plan_up(&engine, &desired).await;
            let (_, succeeded) = walk(&plan, &engine).await;
            assert!(succeeded, "{plan}");
            let after = observe(&engine, &desired).await;
            let state = after.containers[&name].state;
            assert_eq!(state, consort::observed::RunState::Running, "{plan}");
            assert_eq!(after.containers[&name].image_id, image, "{plan}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_second_plan_is_empty_whatever_was_there_before(first in wishes(), second in wishes()) {
        now(async {
            let engine = engine();
            bring_up(&engine, &desire(&first)).await?;
            bring_up(&engine, &desire(&second)).await?;
            take_down(&engine, &desire(&second)).await
        })?;
    }

    #[test]
    fn a_plan_that_is_interrupted_anywhere_converges_when_planned_again(
        first in wishes(),
        second in wishes(),
        at in 0..40_usize,
    ) {
        now(async {
            let engine = engine();
            bring_up(&engine, &desire(&first)).await?;
            let desired = desire(&second);
            engine.fail_after(at);
            let plan = plan_up(&engine, &desired).await;
            let (walked, _) = walk(&plan, &engine).await;
            prop_assert_eq!(&walked.too_early, &Vec::new());
            engine.fail_after(usize::MAX);
            bring_up(&engine, &desired).await?;
            take_down(&engine, &desired).await
        })?;
    }

    #[test]
    fn down_after_an_interrupted_up_leaves_nothing(wishes in wishes(), at in 0..40_usize) {
        now(async {
            let engine = engine();
            let desired = desire(&wishes);
            engine.fail_after(at);
            let plan = plan_up(&engine, &desired).await;
            walk(&plan, &engine).await;
            engine.fail_after(usize::MAX);
            take_down(&engine, &desired).await
        })?;
    }

    #[test]
    fn a_command_killed_between_two_steps_is_finished_by_the_next(
        first in wishes(),
        second in wishes(),
        at in 0..40_usize,
    ) {
        now(async {
            let engine = engine();
            bring_up(&engine, &desire(&first)).await?;
            let desired = desire(&second);
            let plan = plan_up(&engine, &desired).await;
            for step in plan.steps.iter().take(at).filter(|step| step.guard.is_none()) {
                let performed = engine.perform(&step.action, &()).await;
                prop_assert!(performed.is_ok(), "{}: {performed:?}\n{plan}", step.id);
            }
            bring_up(&engine, &desired).await?;
            take_down(&engine, &desired).await
        })?;
    }

    #[test]
    fn making_everything_again_ends_where_it_began(wishes in wishes()) {
        now(async {
            let engine = engine();
            let desired = desire(&wishes);
            bring_up(&engine, &desired).await?;
            let options = UpOptions { recreate: Recreate::Force, ..up_options() };
            let plan = plan::up(&desired, &observe(&engine, &desired).await, &options).unwrap();
            let (_, succeeded) = walk(&plan, &engine).await;
            prop_assert!(succeeded, "{plan}");
            bring_up(&engine, &desired).await
        })?;
    }
}
