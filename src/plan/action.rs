//! The things a plan can do; each carries what it needs and no more.

use crate::desired::{
    BuildSpec, ContainerSpec, EndpointSpec, HookSpec, HookStage, InjectedFile, NetworkSpec,
    VolumeSpec,
};
use crate::value::{
    ContainerName, Duration, ImageRef, NetworkName, Place, Platform, ServiceName, Signal,
    VolumeName,
};
use serde::{Deserialize, Serialize};

/// One act of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Fetches an image, unless the registry has the very one that is here.
    PullImage {
        /// The image.
        image: ImageRef,
        /// For which platform; the machine's own when nothing is said.
        platform: Option<Platform>,
    },
    /// Builds an image.
    BuildImage(BuildRequest),
    /// Removes an image.
    RemoveImage {
        /// The image.
        image: ImageRef,
    },
    /// Makes a network.
    CreateNetwork(Box<NetworkSpec>),
    /// Removes a network.
    RemoveNetwork {
        /// The network.
        name: NetworkName,
    },
    /// Makes a volume.
    CreateVolume(Box<VolumeSpec>),
    /// Removes a volume with its data.
    RemoveVolume {
        /// The volume.
        name: VolumeName,
    },
    /// Makes a container without starting it.
    CreateContainer {
        /// What it should be.
        spec: Box<ContainerSpec>,
        /// The name it gets now; a temporary one while another container has its final name.
        name: ContainerName,
        /// The container whose anonymous volumes it takes over.
        inherit: Option<ContainerName>,
    },
    /// Starts a container.
    StartContainer {
        /// The container.
        name: ContainerName,
        /// Its secrets and configs, whose bytes the engine may have lost since.
        files: Vec<InjectedFile>,
        /// What it is a part of to those who follow events.
        occasion: Occasion,
    },
    /// Asks a container to end, and ends it when the time is up.
    StopContainer {
        /// The container.
        name: ContainerName,
        /// The signal; the container's own when nothing is said.
        signal: Option<Signal>,
        /// The time; the container's own when nothing is said.
        grace: Option<Duration>,
    },
    /// Sends a signal to a container.
    KillContainer {
        /// The container.
        name: ContainerName,
        /// The signal.
        signal: Signal,
    },
    /// Freezes a container.
    PauseContainer {
        /// The container.
        name: ContainerName,
    },
    /// Thaws a container.
    UnpauseContainer {
        /// The container.
        name: ContainerName,
    },
    /// Removes a container that does not run.
    RemoveContainer {
        /// The container.
        name: ContainerName,
        /// What happens to its anonymous volumes.
        volumes: AnonymousVolumes,
    },
    /// Gives a container another name.
    RenameContainer {
        /// The name it has.
        name: ContainerName,
        /// The name it gets.
        to: ContainerName,
    },
    /// Changes a container in place.
    UpdateContainer {
        /// The container.
        name: ContainerName,
        /// What it should be; differs from what it is in what can be changed in place.
        spec: Box<ContainerSpec>,
    },
    /// Connects a container to a network.
    ConnectNetwork {
        /// The container.
        container: ContainerName,
        /// How it hangs there.
        endpoint: Box<EndpointSpec>,
    },
    /// Takes a container off a network.
    DisconnectNetwork {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
    },
    /// Waits until something is true of a container.
    WaitContainer {
        /// The container.
        name: ContainerName,
        /// What must be true.
        until: Until,
        /// Whether it is a failure when it does not become true; else only a warning.
        required: bool,
        /// How long; without end when nothing is said.
        timeout: Option<Duration>,
    },
    /// Runs a hook of a container to its end; an exit code other than 0 is a failure.
    RunHook {
        /// The container.
        container: ContainerName,
        /// When in its life.
        stage: HookStage,
        /// The position in the list of hooks, from zero.
        index: usize,
        /// What runs.
        hook: Box<HookSpec>,
    },
}

/// A build that a plan asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// The service that the image is for.
    pub service: ServiceName,
    /// What the image will be known as.
    pub image: ImageRef,
    /// Where the build is written.
    pub place: Option<Place>,
    /// How it is built.
    pub spec: Box<BuildSpec>,
}

/// What happens to a removed container's anonymous volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnonymousVolumes {
    /// They stay.
    Keep,
    /// They go with it.
    Remove,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// It runs, and is healthy when it has a health check.
    RunningOrHealthy,
    /// Its health check passes.
    Healthy,
    /// It ended with exit code 0.
    CompletedSuccessfully,
    /// What stops it has come to its end, or it runs again.
    Stopped,
}

/// On which occasion a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// It is to run.
    Start,
    /// It is to run anew, whether it ran before or not.
    Restart,
}

impl Action {
    /// The act in words, such as `create network`.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::PullImage { .. } => "pull image",
            Self::BuildImage(_) => "build image",
            Self::RemoveImage { .. } => "remove image",
            Self::CreateNetwork(_) => "create network",
            Self::RemoveNetwork { .. } => "remove network",
            Self::CreateVolume(_) => "create volume",
            Self::RemoveVolume { .. } => "remove volume",
            Self::CreateContainer { .. } => "create container",
            Self::StartContainer { .. } => "start container",
            Self::StopContainer { .. } => "stop container",
            Self::KillContainer { .. } => "kill container",
            Self::PauseContainer { .. } => "pause container",
            Self::UnpauseContainer { .. } => "unpause container",
            Self::RemoveContainer { .. } => "remove container",
            Self::RenameContainer { .. } => "rename container",
            Self::UpdateContainer { .. } => "update container",
            Self::ConnectNetwork { .. } => "connect network",
            Self::DisconnectNetwork { .. } => "disconnect network",
            Self::WaitContainer { .. } => "wait for",
            Self::RunHook { .. } => "run hook",
        }
    }

    /// The name of what is acted on.
    pub fn subject(&self) -> String {
        match self {
            Self::PullImage { image, .. } | Self::RemoveImage { image } => image.to_string(),
            Self::BuildImage(request) => request.image.to_string(),
            Self::CreateNetwork(spec) => spec.name.to_string(),
            Self::RemoveNetwork { name } => name.to_string(),
            Self::CreateVolume(spec) => spec.name.to_string(),
            Self::RemoveVolume { name } => name.to_string(),
            Self::CreateContainer { name, .. }
            | Self::StartContainer { name, .. }
            | Self::StopContainer { name, .. }
            | Self::KillContainer { name, .. }
            | Self::PauseContainer { name }
            | Self::UnpauseContainer { name }
            | Self::RemoveContainer { name, .. }
            | Self::RenameContainer { name, .. }
            | Self::UpdateContainer { name, .. }
            | Self::WaitContainer { name, .. } => name.to_string(),
            Self::ConnectNetwork { container, .. }
            | Self::DisconnectNetwork { container, .. }
            | Self::RunHook { container, .. } => container.to_string(),
        }
    }

    /// What the act aims at beyond its subject, such as the other name of a rename.
    pub fn object(&self) -> Option<String> {
        match self {
            Self::RenameContainer { to, .. } => Some(format!("to {to}")),
            Self::ConnectNetwork { endpoint, .. } => Some(format!("to {}", endpoint.network)),
            Self::DisconnectNetwork { network, .. } => Some(format!("from {network}")),
            Self::WaitContainer { until, .. } => Some(until.as_str().to_owned()),
            Self::RunHook { stage, index, .. } => Some(format!("{}[{index}]", stage.as_str())),
            Self::KillContainer { signal, .. } => Some(signal.to_string()),
            Self::PullImage { .. }
            | Self::BuildImage(_)
            | Self::RemoveImage { .. }
            | Self::CreateNetwork(_)
            | Self::RemoveNetwork { .. }
            | Self::CreateVolume(_)
            | Self::RemoveVolume { .. }
            | Self::CreateContainer { .. }
            | Self::StartContainer { .. }
            | Self::StopContainer { .. }
            | Self::PauseContainer { .. }
            | Self::UnpauseContainer { .. }
            | Self::RemoveContainer { .. }
            | Self::UpdateContainer { .. } => None,
        }
    }

    /// Whether the act only waits, fetches or runs a hook, and may be given up in the middle.
    pub const fn can_be_abandoned(&self) -> bool {
        matches!(
            self,
            Self::PullImage { .. } | Self::WaitContainer { .. } | Self::RunHook { .. }
        )
    }
}

impl Until {
    /// What is waited for, in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunningOrHealthy => "running",
            Self::Healthy => "healthy",
            Self::CompletedSuccessfully => "completed",
            Self::Stopped => "stopped",
        }
    }
}
