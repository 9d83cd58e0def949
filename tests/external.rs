//! The law about what others made, over random projects and all verbs on the in-memory engine: nothing that the file
//! calls `external` is made, changed or removed.

use consort::{
    compose::{Project, model, source},
    desired::{self, DesiredState, External},
    engine::{Engine as _, Memory},
    observed::{ImageQuery, ObservedState, Refresh, Scope},
    plan::{
        self, Action, Dependencies, Diverged, DownOptions, OrphanPolicy, Plan, PullOptions,
        Recreate, RemoveImages, RemoveOptions, Renew, StartMode, StartOptions, StopOptions,
        UpOptions, Volumes, WaitFor,
    },
    value::{ServiceName, Signal},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SERVICES: [&str; 2] = ["db", "web"];
const RESOURCES: [&str; 3] = ["mine", "shared", "unused"];

/// What one version of the file says.
#[derive(Clone, Debug)]
struct Wishes {
    /// Which of the networks and volumes are external.
    external: [bool; 3],
    /// Whether the services use them; the last one is never used.
    used: [bool; 2],
    /// Which services there are, and which have an anonymous volume.
    present: [bool; 2],
    anonymous: [bool; 2],
    scale: i64,
    /// A detail of every container, network and volume.
    detail: bool,
}

prop_compose! {
    fn wishes()(
        external: [bool; 3],
        used: [bool; 2],
        present: [bool; 2],
        anonymous: [bool; 2],
        scale in 0..3_i64,
        detail: bool,
    ) -> Wishes {
        Wishes { external, used, present, anonymous, scale, detail }
    }
}

fn service(index: usize, wishes: &Wishes) -> model::Service {
    let used = || RESOURCES.iter().zip(wishes.used).filter(|(_, used)| *used);
    let mount = |source: Option<&str>, target: &str| model::ServiceVolume {
        kind: "volume".to_owned(),
        source: source.map(ToOwned::to_owned),
        target: target.to_owned(),
        ..model::ServiceVolume::default()
    };
    let named = used().map(|(name, _)| mount(Some(name), &format!("/{name}")));
    let anonymous = wishes.anonymous[index].then(|| mount(None, "/cache"));
    model::Service {
        name: SERVICES[index].to_owned(),
        image: Some("base:1".to_owned()),
        scale: Some(wishes.scale),
        environment: BTreeMap::from([("LEVEL".to_owned(), Some(wishes.detail.to_string()))]),
        networks: used().map(|(name, _)| ((*name).to_owned(), None)).collect(),
        volumes: named.chain(anonymous).collect(),
        ..model::Service::default()
    }
}

/// The project, in which an anonymous volume is declared as external too where its name is given.
fn project(name: &str, wishes: &Wishes, adopted: Option<&str>) -> Project {
    let present = (0..SERVICES.len()).filter(|index| wishes.present[*index]);
    let detail = BTreeMap::from([("detail".to_owned(), wishes.detail.to_string())]);
    let real = |key: &str| Some(format!("everybodys-{key}"));
    let keys = || RESOURCES.iter().zip(wishes.external);
    let networks = keys().map(|(key, external)| {
        let network = model::Network {
            name: real(key),
            external,
            labels: detail.clone(),
            ..model::Network::default()
        };
        ((*key).to_owned(), network)
    });
    let volume = |key: &str, name: Option<String>, external: bool| {
        let volume = model::Volume {
            name,
            external,
            labels: detail.clone(),
            ..model::Volume::default()
        };
        (key.to_owned(), volume)
    };
    let volumes = keys().map(|(key, external)| volume(key, real(key), external));
    let adopted = adopted.map(|name| volume("adopted", Some(name.to_owned()), true));
    Project {
        name: name.to_owned(),
        services: present
            .map(|index| (SERVICES[index].to_owned(), service(index, wishes)))
            .collect(),
        networks: networks.collect(),
        volumes: volumes.chain(adopted).collect(),
        ..Project::default()
    }
}

fn desire(project: &Project) -> DesiredState {
    let options = desired::Options {
        scale: BTreeMap::new(),
        source: &source::Memory::default(),
    };
    desired::expand(project, &options).expect("random projects have no mistakes")
}

async fn observe(engine: &Memory, desired: &DesiredState) -> ObservedState {
    let scope = Scope {
        networks: desired
            .networks
            .values()
            .map(|it| it.name.clone())
            .collect(),
        volumes: desired.volumes.values().map(|it| it.name.clone()).collect(),
        images: vec![ImageQuery {
            reference: "base:1".parse().unwrap(),
            platform: None,
            refresh: Refresh::No,
        }],
        ..Scope::project(desired.project.clone())
    };
    engine.observe(&scope).await.unwrap()
}

/// How the verbs are called.
#[derive(Clone, Debug)]
struct Flags {
    /// `--remove-orphans`, `-V`, `--volumes`, `--force-recreate`, `--no-start`, `-y`, one service.
    set: [bool; 7],
}

impl Flags {
    fn services(&self) -> BTreeSet<ServiceName> {
        let one = self.set[6].then(|| "web".parse().unwrap());
        one.into_iter().collect()
    }

    fn orphans(&self) -> OrphanPolicy {
        if self.set[0] {
            OrphanPolicy::Remove
        } else {
            OrphanPolicy::Warn
        }
    }

    fn volumes(&self) -> Volumes {
        if self.set[2] {
            Volumes::Remove
        } else {
            Volumes::Keep
        }
    }

    fn up(&self) -> UpOptions {
        let pick = |index: usize, yes, no| if self.set[index] { yes } else { no };
        UpOptions {
            orphans: self.orphans(),
            recreate: pick(3, Recreate::Force, Recreate::Diverged),
            anonymous_volumes: if self.set[1] {
                Renew::Renew
            } else {
                Renew::Inherit
            },
            start: if self.set[4] {
                StartMode::CreateOnly
            } else {
                StartMode::Start
            },
            diverged_volumes: if self.set[5] {
                Diverged::Recreate
            } else {
                Diverged::Keep
            },
            ..UpOptions::plain()
        }
    }
}

/// The plans of all verbs; `up` of one service has none where the file lacks the service.
fn plans(desired: &DesiredState, observed: &ObservedState, flags: &Flags) -> Vec<Plan> {
    let services = flags.services();
    let stop = StopOptions {
        services: services.clone(),
        grace: None,
        dependents: Dependencies::Include,
    };
    let start = StartOptions {
        services: services.clone(),
        wait: WaitFor::Started,
    };
    let down = DownOptions {
        services: services.clone(),
        orphans: flags.orphans(),
        volumes: flags.volumes(),
        images: RemoveImages::All,
        ..DownOptions::plain()
    };
    let remove = RemoveOptions {
        services: services.clone(),
        stop: Some(stop.clone()),
        volumes: flags.volumes(),
        external: desired.external.volumes.clone(),
    };
    let pull = PullOptions {
        services: services.clone(),
        dependencies: Dependencies::Include,
        policy: None,
    };
    let mut up = vec![plan::up(desired, observed, &flags.up())];
    up.push(plan::up(
        desired,
        observed,
        &UpOptions {
            services: services.clone(),
            ..flags.up()
        },
    ));
    let mut plans: Vec<Plan> = up.into_iter().filter_map(Result::ok).collect();
    plans.extend([
        plan::down(Some(desired), observed, &down),
        plan::start(Some(desired), observed, &start),
        plan::restart(Some(desired), observed, &stop),
        plan::stop(observed, &stop),
        plan::remove(observed, &remove),
        plan::kill(observed, &services, Signal::KILL),
        plan::pause(observed, &services),
        plan::unpause(observed, &services),
        plan::pull(desired, observed, &pull),
    ]);
    plans
}

/// The steps of a plan that make, change or remove something external.
fn offences(plan: &Plan, external: &External) -> Vec<String> {
    let is_offence = |action: &Action| match action {
        Action::CreateNetwork(spec) => external.networks.contains(&spec.name),
        Action::RemoveNetwork { name } => external.networks.contains(name),
        Action::CreateVolume(spec) => external.volumes.contains(&spec.name),
        Action::RemoveVolume { name } => external.volumes.contains(name),
        _ => false,
    };
    let steps = plan.steps.iter().filter(|step| is_offence(&step.action));
    steps.map(|step| step.action.subject()).collect()
}

/// Everything external that is there, as it is.
fn there(observed: &ObservedState, external: &External) -> String {
    let networks = observed.networks.values();
    let networks = networks.filter(|it| external.networks.contains(&it.name));
    let volumes = observed.volumes.values();
    let volumes = volumes.filter(|it| external.volumes.contains(&it.name));
    format!(
        "{:?} {:?}",
        networks.collect::<Vec<_>>(),
        volumes.collect::<Vec<_>>()
    )
}

async fn perform(engine: &Memory, plan: &Plan) {
    for step in &plan.steps {
        // One that needs what a failed one should have made fails as well.
        drop(engine.perform(&step.action, &()).await);
    }
}

/// A world in which `owner` made everything and, where `ours` is another project, `demo` made what it could.
async fn world(owner: &str, before: &Wishes) -> Memory {
    let engine = Memory::new();
    engine.publish(&"base:1".parse().unwrap(), "sha256:base");
    let all = Wishes {
        external: [false; 3],
        used: [true; 2],
        present: [true; 2],
        scale: 1,
        ..before.clone()
    };
    for (name, wishes) in [(owner, &all), ("demo", before)] {
        let desired = desire(&project(name, wishes, None));
        for (key, spec) in &desired.networks {
            if name == owner && key == "unused" {
                let action = Action::CreateNetwork(Box::new(spec.clone()));
                drop(engine.perform(&action, &()).await);
            }
        }
        for (key, spec) in &desired.volumes {
            if name == owner && key == "unused" {
                let action = Action::CreateVolume(Box::new(spec.clone()));
                drop(engine.perform(&action, &()).await);
            }
        }
        let plan = plan::up(
            &desired,
            &observe(&engine, &desired).await,
            &UpOptions::plain(),
        );
        perform(&engine, &plan.unwrap()).await;
    }
    engine
}

fn now<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_of_any_verb_touches_something_external(
        before in wishes(),
        after in wishes(),
        // Made by another project; by this one, before the file changed.
        owner in prop::sample::select(vec!["other", "demo"]),
        adopts: bool,
        set: [bool; 7],
    ) {
        let flags = Flags { set };
        now(async {
            let count = plans(&desire(&project("demo", &after, None)), &ObservedState::default(), &flags).len();
            for index in 0..count {
                let engine = world(owner, &before).await;
                let old = desire(&project("demo", &before, None));
                let all = observe(&engine, &old).await;
                let anonymous = all.volumes.values().find(|volume| volume.key.is_empty());
                let adopted = anonymous.filter(|_| adopts).map(|volume| volume.name.to_string());
                let desired = desire(&project("demo", &after, adopted.as_deref()));
                let observed = observe(&engine, &desired).await;
                let external = desired.external.clone();
                let Some(plan) = plans(&desired, &observed, &flags).into_iter().nth(index) else {
                    continue;
                };
                prop_assert_eq!(offences(&plan, &external), Vec::<String>::new(), "{}", plan);
                perform(&engine, &plan).await;
                let left = observe(&engine, &desired).await;
                prop_assert_eq!(there(&left, &external), there(&observed, &external), "{}", plan);
            }
            Ok(())
        })?;
    }
}
