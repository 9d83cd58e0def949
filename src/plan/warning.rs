//! What a plan leaves undone, and what the user should be asked.

use super::FieldChange;
use crate::observed::NetworkUser;
use crate::value::{ContainerName, NetworkName, Place, ServiceName, VolumeName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that the user should know or be asked before anything moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Containers of services that are not in the file any more stay.
    Orphans {
        /// The containers.
        containers: Vec<ContainerName>,
    },
    /// A volume differs from what is wanted and stays, because its data would be lost.
    ///
    /// Planning again with `Diverged::Recreate` makes it again.
    VolumeDiverged {
        /// The volume.
        volume: VolumeName,
        /// What differs.
        changes: Vec<FieldChange>,
    },
    /// A volume of another origin has the name and is used as it is.
    UnmanagedVolume {
        /// The volume.
        volume: VolumeName,
    },
    /// A network of another origin has the name and is used as it is.
    UnmanagedNetwork {
        /// The network.
        network: NetworkName,
    },
    /// A network stays, because containers of other projects are connected to it.
    NetworkInUse {
        /// The network.
        network: NetworkName,
        /// Who uses it.
        others: Vec<NetworkUser>,
    },
    /// A dependency that is not required cannot be waited for.
    DependencyUnavailable {
        /// The service that depends.
        service: ServiceName,
        /// The service that it depends on.
        dependency: ServiceName,
        /// Where that is written.
        place: Option<Place>,
    },
    /// A named service has no container to act on.
    NoContainer {
        /// The service.
        service: ServiceName,
    },
    /// An image is not fetched, because the file says only how it is built.
    OnlyBuilt {
        /// The service.
        service: ServiceName,
    },
    /// A value is accepted and has no effect here.
    NoEffect {
        /// The service.
        service: ServiceName,
        /// The value's path.
        field: String,
        /// Why not.
        reason: String,
        /// Where it is written.
        place: Option<Place>,
    },
}

impl Warning {
    /// Whether the user should be asked, and planning repeated with the answer.
    pub const fn is_question(&self) -> bool {
        matches!(self, Self::VolumeDiverged { .. })
    }

    /// Where what it is about is written.
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::DependencyUnavailable { place, .. } | Self::NoEffect { place, .. } => {
                place.as_ref()
            }
            Self::Orphans { .. }
            | Self::VolumeDiverged { .. }
            | Self::UnmanagedVolume { .. }
            | Self::UnmanagedNetwork { .. }
            | Self::NetworkInUse { .. }
            | Self::NoContainer { .. }
            | Self::OnlyBuilt { .. } => None,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphans { containers } => {
                write!(
                    f,
                    "containers of services that the file no longer has stay: {}; `--remove-orphans` removes them",
                    listed(containers)
                )
            }
            Self::VolumeDiverged { volume, changes } => {
                write!(
                    f,
                    "volume `{volume}` stays as it is, although {}",
                    listed(changes)
                )
            }
            Self::UnmanagedVolume { volume } => {
                write!(
                    f,
                    "volume `{volume}` was not made for this project and is used as it is"
                )
            }
            Self::UnmanagedNetwork { network } => {
                write!(
                    f,
                    "network `{network}` was not made for this project and is used as it is"
                )
            }
            Self::NetworkInUse { network, others } => {
                write!(
                    f,
                    "network `{network}` stays: Resource is still in use by {}",
                    listed(others)
                )
            }
            Self::DependencyUnavailable {
                service,
                dependency,
                place,
            } => {
                write!(
                    f,
                    "`{service}` does not wait for `{dependency}`, which is not available"
                )?;
                place
                    .as_ref()
                    .map_or(Ok(()), |place| write!(f, " ({place})"))
            }
            Self::NoContainer { service } => write!(f, "service `{service}` has no container"),
            Self::OnlyBuilt { service } => {
                write!(
                    f,
                    "the image of service `{service}` is built and not pulled: it has no `image`"
                )
            }
            Self::NoEffect {
                service,
                field,
                reason,
                place,
            } => {
                write!(
                    f,
                    "`{field}` of service `{service}` has no effect: {reason}"
                )?;
                place
                    .as_ref()
                    .map_or(Ok(()), |place| write!(f, " ({place})"))
            }
        }
    }
}

fn listed(things: &[impl ToString]) -> String {
    let texts: Vec<String> = things.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
