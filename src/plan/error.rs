//! Why there is no plan.

use super::FieldChange;
use crate::observed::{NetworkUser, OccupiedSubnet};
use crate::value::{Cidr, ImageRef, NetworkName, Place, ServiceName, VolumeName};

/// Why there is no plan; reads after "cannot".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A service is named that the project does not have.
    #[error("find service `{service}`")]
    UnknownService {
        /// The service.
        service: ServiceName,
        /// The services that there are.
        known: Vec<ServiceName>,
    },
    /// Services wait for each other in a circle.
    #[error("order the services: {cycle}")]
    Cycle {
        /// The circle, such as `web → api → web`.
        cycle: String,
        /// Where each of its dependencies is written, in order.
        places: Vec<Place>,
    },
    /// Steps of the plan itself wait for each other in a circle.
    #[error("order the steps: {}", steps.join(" → "))]
    Tangled {
        /// The circle, such as `stop container web → start container db → stop container web`.
        steps: Vec<String>,
    },
    /// A network is said to be there and is not.
    #[error("find network `{network}`, which is declared as external")]
    ExternalNetwork {
        /// The network.
        network: NetworkName,
    },
    /// A network differs from what is wanted, and containers of other projects are connected to it.
    #[error("change network `{network}` while {} uses it: {}", users(.others), differences(.changes))]
    NetworkInUse {
        /// The network.
        network: NetworkName,
        /// What differs.
        changes: Vec<FieldChange>,
        /// Who uses it.
        others: Vec<NetworkUser>,
        /// Where it is written.
        place: Option<Place>,
    },
    /// A network is to have addresses that are in use already.
    #[error("use subnet `{subnet}` for network `{network}`: it overlaps `{}` of {}", .occupied.subnet, .occupied.by)]
    SubnetInUse {
        /// The network.
        network: NetworkName,
        /// Its subnet.
        subnet: Cidr,
        /// What uses addresses of it.
        occupied: OccupiedSubnet,
        /// Where the subnet is written.
        place: Option<Place>,
    },
    /// A volume is said to be there and is not.
    #[error("find volume `{volume}`, which is declared as external")]
    ExternalVolume {
        /// The volume.
        volume: VolumeName,
    },
    /// An image is neither here nor may be fetched.
    #[error("run service `{service}`: image `{image}` is not here and may not be pulled")]
    ImageMissing {
        /// The service.
        service: ServiceName,
        /// The image.
        image: ImageRef,
        /// Where it is written.
        place: Option<Place>,
    },
}

fn users(others: &[NetworkUser]) -> String {
    let users: Vec<String> = others.iter().map(ToString::to_string).collect();
    users.join(", ")
}

fn differences(changes: &[FieldChange]) -> String {
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    changes.join(", ")
}
