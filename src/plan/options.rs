//! What the user decides about a plan.

use crate::desired::PullPolicy;
use crate::value::{Duration, ServiceName, VolumeName};
use std::collections::BTreeSet;

/// Which services are meant: those, or all when there are none.
type Selected = BTreeSet<ServiceName>;

/// How a project comes up.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// Whether what they depend on comes up as well.
    pub dependencies: Dependencies,
    /// Which of their containers are made again.
    pub recreate: Recreate,
    /// Which containers of their dependencies are made again.
    pub recreate_dependencies: Recreate,
    /// What happens to containers of services that are not in the file.
    pub orphans: OrphanPolicy,
    /// Whether containers are started.
    pub start: StartMode,
    /// When images are fetched, whatever the file says.
    pub pull: Option<PullPolicy>,
    /// Which images are built.
    pub build: BuildImages,
    /// What happens to anonymous volumes of containers that are made again.
    pub anonymous_volumes: Renew,
    /// What happens to volumes that differ from what is wanted.
    pub diverged_volumes: Diverged,
    /// How long containers may take to stop, whatever the file says.
    pub stop_grace: Option<Duration>,
    /// What is waited for at the end.
    pub wait: WaitFor,
}

/// Which images are built of those that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildImages {
    /// Those that are not here, or as the file says.
    Missing,
    /// All of them.
    All,
    /// None.
    None,
}

/// Whether what a service depends on is meant as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependencies {
    /// It is.
    Include,
    /// It is not, and is not waited for.
    Skip,
}

/// Which containers are made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreate {
    /// Those that differ from what is wanted.
    Diverged,
    /// All of them.
    Force,
    /// None.
    Never,
}

/// What happens to containers of services that are not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanPolicy {
    /// They stay, and the plan warns about them.
    Warn,
    /// They stay.
    Ignore,
    /// They go.
    Remove,
}

/// Whether containers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// They are.
    Start,
    /// They are only made.
    CreateOnly,
}

/// What happens to anonymous volumes of a container that is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// The new container has them.
    Inherit,
    /// The new container has new ones.
    Renew,
}

/// What happens to a volume that differs from what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diverged {
    /// It stays, and the plan asks.
    Keep,
    /// It is made again; its data are lost.
    Recreate,
}

/// What is waited for at the end of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// That containers are started.
    Started,
    /// That they run or are healthy, or have completed where others wait for that.
    Ready {
        /// How long; without end when nothing is said.
        timeout: Option<Duration>,
    },
}

/// How a container of `run` comes up.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The service that stands for it in the desired state; its only replica is the container.
    pub service: ServiceName,
    /// Who starts it.
    pub start: RunStart,
    /// How what it depends on comes up.
    pub up: UpOptions,
}

/// Who starts a container of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStart {
    /// A step of the plan.
    ByPlan,
    /// The caller, in its foreground, once the plan is done.
    ByCaller,
}

/// How a project goes down.
#[derive(Clone, Debug)]
pub struct DownOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// What happens to containers of services that are not in the file.
    pub orphans: OrphanPolicy,
    /// What happens to volumes.
    pub volumes: Volumes,
    /// Which images go as well.
    pub images: RemoveImages,
    /// How long containers may take to stop, whatever they were made with.
    pub stop_grace: Option<Duration>,
}

/// What happens to the volumes of what goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volumes {
    /// They stay.
    Keep,
    /// They go, with their data.
    Remove,
}

/// Which images go with a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveImages {
    /// None.
    None,
    /// Those that have no name of their own in the file.
    Local,
    /// All that its services use.
    All,
}

/// How containers are stopped or restarted.
#[derive(Clone, Debug)]
pub struct StopOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// How long they may take, whatever they were made with.
    pub grace: Option<Duration>,
    /// Whether services that ask for it restart with what they depend on.
    pub dependents: Dependencies,
}

/// How containers are started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// What is waited for at the end.
    pub wait: WaitFor,
}

/// How containers are removed.
#[derive(Clone, Debug)]
pub struct RemoveOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// Stops running containers first, in that time; otherwise they stay.
    pub stop: Option<StopOptions>,
    /// What happens to anonymous volumes.
    pub volumes: Volumes,
    /// The volumes that the file calls `external`, which stay in any case.
    pub external: BTreeSet<VolumeName>,
}

/// How images are fetched.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The services that are meant; all when empty.
    pub services: Selected,
    /// Whether images of what they depend on are fetched as well.
    pub dependencies: Dependencies,
    /// When images are fetched, whatever the file says.
    pub policy: Option<PullPolicy>,
}

impl UpOptions {
    /// How `up` brings a project up without any option.
    pub fn plain() -> Self {
        Self {
            services: Selected::new(),
            dependencies: Dependencies::Include,
            recreate: Recreate::Diverged,
            recreate_dependencies: Recreate::Diverged,
            orphans: OrphanPolicy::Warn,
            start: StartMode::Start,
            pull: None,
            build: BuildImages::Missing,
            anonymous_volumes: Renew::Inherit,
            diverged_volumes: Diverged::Keep,
            stop_grace: None,
            wait: WaitFor::Started,
        }
    }
}

impl DownOptions {
    /// How `down` takes a project down without any option.
    pub fn plain() -> Self {
        Self {
            services: Selected::new(),
            orphans: OrphanPolicy::Warn,
            volumes: Volumes::Keep,
            images: RemoveImages::None,
            stop_grace: None,
        }
    }
}
