//! Why a step is in the plan.

use super::StepId;
use crate::desired::{Condition, HookStage};
use crate::observed::RunState;
use crate::value::{ContainerName, NetworkName, Place, ServiceName, VolumeName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a step is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is wanted and not there.
    NotFound,
    /// It is there and no longer wanted.
    NotWanted,
    /// The user asked for exactly this.
    Requested,
    /// Values of its spec differ from those it was made with.
    Changed(Vec<FieldChange>),
    /// The image is another one than it was made from.
    ImageChanged {
        /// The image it was made from.
        from: String,
        /// The image that is wanted.
        to: String,
    },
    /// The image may turn out to be another one once it is fetched.
    ImageMayChange,
    /// The image is fetched each time.
    PullPolicy {
        /// The policy, as a Compose file writes it.
        policy: String,
    },
    /// The user asked to make everything again.
    ForceRecreate,
    /// The step makes or finds what this one needs.
    Follows(StepId),
    /// The container that has the place is made again by the step.
    ReplacedBy(StepId),
    /// The container does not run.
    NotRunning {
        /// What it is instead.
        state: RunState,
        /// The exit code of its last run.
        exit_code: Option<i32>,
    },
    /// A service that depends on it starts only then.
    NeededBy {
        /// The service.
        service: ServiceName,
        /// What must be true.
        condition: Condition,
        /// Where that is written.
        place: Option<Place>,
    },
    /// A service that it depends on is restarted or made again.
    DependencyRestarts {
        /// The service.
        service: ServiceName,
    },
    /// A container whose namespaces it joins starts, or has started, anew.
    Rejoins {
        /// That container.
        container: ContainerName,
    },
    /// A network that it is connected to is made again.
    NetworkRecreated {
        /// The network.
        network: NetworkName,
    },
    /// A volume that it mounts is made again.
    VolumeRecreated {
        /// The volume.
        volume: VolumeName,
    },
    /// An earlier command is stopping it.
    Stopping,
    /// It is not connected to a network that it should be connected to.
    NotConnected {
        /// The network.
        network: NetworkName,
    },
    /// Its service has more containers than are wanted.
    ScaleDown {
        /// How many are wanted.
        wanted: usize,
    },
    /// Its service is not in the file any more.
    Orphan,
    /// It is what an interrupted command left behind.
    Leftover,
    /// The container has a hook for this point of its life.
    Hook {
        /// The point.
        stage: HookStage,
    },
}

/// A value that differs.
///
/// Neither value is given where it may be secret. An empty text stands for something that is there
/// as a whole, such as a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The path, such as `environment.LOG_LEVEL`.
    pub field: String,
    /// The value it was made with; nothing when it had none.
    pub old: Option<String>,
    /// The value that is wanted; nothing when there is none.
    pub new: Option<String>,
    /// Where the wanted value is written.
    pub place: Option<Place>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        match (self.old.as_deref(), self.new.as_deref()) {
            (Some(old), Some(new)) => write!(f, " {old} → {new}")?,
            (Some(""), None) => f.write_str(" removed")?,
            (None, Some("")) => f.write_str(" added")?,
            (Some(old), None) => write!(f, " {old} removed")?,
            (None, Some(new)) => write!(f, " {new} added")?,
            (None, None) => f.write_str(" changed")?,
        }
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::NotWanted => f.write_str("not wanted"),
            Self::Requested => f.write_str("requested"),
            Self::Changed(changes) => {
                let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(", "))
            }
            Self::ImageChanged { from, to } => {
                write!(f, "image {} → {}", short_id(from), short_id(to))
            }
            Self::ImageMayChange => f.write_str("if the image changed"),
            Self::PullPolicy { policy } => write!(f, "pull_policy {policy}"),
            Self::ForceRecreate => f.write_str("recreate forced"),
            Self::Follows(step) => write!(f, "follows {step}"),
            Self::ReplacedBy(step) => write!(f, "replaced by {step}"),
            Self::NotRunning {
                state,
                exit_code: Some(code),
            } => write!(f, "{state} ({code})"),
            Self::NotRunning {
                state,
                exit_code: None,
            } => write!(f, "{state}"),
            Self::NeededBy {
                service,
                condition,
                place,
            } => {
                write!(f, "{service} needs {}", condition.as_str())?;
                place
                    .as_ref()
                    .map_or(Ok(()), |place| write!(f, " ({place})"))
            }
            Self::DependencyRestarts { service } => write!(f, "{service} restarts"),
            Self::Rejoins { container } => write!(f, "joins {container}, which starts anew"),
            Self::NetworkRecreated { network } => write!(f, "network {network} is recreated"),
            Self::VolumeRecreated { volume } => write!(f, "volume {volume} is recreated"),
            Self::Stopping => f.write_str("being stopped"),
            Self::NotConnected { network } => write!(f, "not connected to {network}"),
            Self::ScaleDown { wanted } => write!(f, "scaled to {wanted}"),
            Self::Orphan => f.write_str("orphan"),
            Self::Leftover => f.write_str("left by an interrupted command"),
            Self::Hook { stage } => write!(f, "{} hook", stage.as_str()),
        }
    }
}

fn short_id(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}
