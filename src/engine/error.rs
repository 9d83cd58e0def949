//! Why an engine could not do something.

use crate::value::{ContainerName, Duration, ImageRef, NetworkName, ProjectName, VolumeName};
use std::{error::Error, fmt, net::IpAddr};

/// Why an engine could not do something; reads after "cannot".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine cannot be used at all.
    #[error("reach the {engine} engine")]
    Unreachable {
        /// The engine.
        engine: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// There is no such container.
    #[error("find container `{name}`")]
    ContainerNotFound {
        /// The container.
        name: ContainerName,
    },
    /// There is no such network, and it is not for us to make it.
    #[error("find network `{name}`")]
    NetworkNotFound {
        /// The network.
        name: NetworkName,
    },
    /// There is no such volume, and it is not for us to make it.
    #[error("find volume `{name}`")]
    VolumeNotFound {
        /// The volume.
        name: VolumeName,
    },
    /// The image is neither here nor where it should come from.
    #[error("find image `{image}`")]
    ImageNotFound {
        /// The image.
        image: ImageRef,
        /// Where it was looked for.
        tried: Vec<String>,
        /// Why it was not there, where a reason is known.
        #[source]
        source: Option<Cause>,
    },
    /// Another container has the name.
    #[error("use the name `{name}`, which another container has")]
    NameTaken {
        /// The name.
        name: ContainerName,
        /// The project that has it, where it is known.
        project: Option<ProjectName>,
    },
    /// Something else listens on a port.
    #[error("publish port {port}/{protocol}{}", on(*.host_ip))]
    PortTaken {
        /// The address of the host; all of them when nothing is said.
        host_ip: Option<IpAddr>,
        /// The port of the host.
        port: u16,
        /// `tcp` or `udp`.
        protocol: String,
        /// Who listens there, where it is known.
        holder: Option<PortHolder>,
    },
    /// Another command changes the project.
    #[error("change project `{project}` while {holder} does")]
    ProjectLocked {
        /// The project.
        project: ProjectName,
        /// Who changes it.
        holder: LockHolder,
    },
    /// The container must run for this.
    #[error("use container `{name}`, which is not running")]
    NotRunning {
        /// The container.
        name: ContainerName,
    },
    /// The container ended while it was waited for.
    #[error("wait for container `{name}`, which ended with exit code {exit_code}")]
    Ended {
        /// The container.
        name: ContainerName,
        /// Its exit code.
        exit_code: i32,
    },
    /// The container was removed while it was waited for.
    #[error("wait for container `{name}`, which another command removed")]
    Removed {
        /// The container.
        name: ContainerName,
    },
    /// The container became unhealthy while it was waited for.
    #[error("wait for container `{name}`, which is unhealthy")]
    Unhealthy {
        /// The container.
        name: ContainerName,
        /// What the last probe wrote.
        output: String,
    },
    /// What is waited for did not become true in time.
    #[error("wait for container `{name}` any longer than {after}")]
    TimedOut {
        /// The container.
        name: ContainerName,
        /// How long it was waited for.
        after: Duration,
    },
    /// The container has no health check to wait for.
    #[error("wait for the health of container `{name}`, which has no health check")]
    NoHealthcheck {
        /// The container.
        name: ContainerName,
    },
    /// A hook ended with an exit code other than 0.
    #[error("run hook `{command}` of container `{name}`, which ended with exit code {exit_code}")]
    HookFailed {
        /// The container.
        name: ContainerName,
        /// What ran.
        command: String,
        /// Its exit code.
        exit_code: i32,
        /// The end of what it wrote.
        output: String,
    },
    /// An image could not be built.
    #[error("build image `{image}`")]
    BuildFailed {
        /// The image.
        image: ImageRef,
        /// What the step wrote last, and the lines of the Dockerfile.
        said: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The engine cannot do this, or cannot do it yet.
    #[error("{what}, which the {engine} engine does not do")]
    NotSupported {
        /// What was asked for.
        what: String,
        /// The engine.
        engine: &'static str,
    },
    /// Something failed below.
    #[error("{act}")]
    Act {
        /// What was being done to which thing; reads after "cannot".
        act: String,
        /// Why it failed.
        #[source]
        source: Cause,
    },
}

/// What an engine's error was caused by.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

impl EngineError {
    /// Says what was being done when something below failed.
    pub fn act(act: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Act {
            act: act.into(),
            source: source.into(),
        }
    }
}

/// The process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// Its process id.
    pub pid: u32,
    /// Its command.
    pub command: String,
    /// The container it publishes the port for, where it is one of ours.
    pub container: Option<ContainerName>,
    /// The project of that container.
    pub project: Option<ProjectName>,
}

/// The command that holds a project's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (pid {})", self.command, self.pid)
    }
}

fn on(host_ip: Option<IpAddr>) -> String {
    host_ip.map_or_else(String::new, |ip| format!(" on {ip}"))
}
