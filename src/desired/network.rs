//! Networks, and how a container hangs on them.

use crate::value::{ContainerName, NetworkName, Place, ProjectName, ServiceName};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A network as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The name on this machine.
    pub name: NetworkName,
    /// The project that wants it.
    pub project: ProjectName,
    /// Its key in the file.
    pub key: String,
    /// Whether it must be there already and is never made, changed or removed.
    pub external: bool,
    /// The driver; a bridge when nothing is said.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
    /// How addresses are given out.
    pub ipam: IpamSpec,
    /// Whether there is no way out of it.
    pub internal: bool,
    /// Whether containers of nobody's project may join.
    pub attachable: bool,
    /// Whether it has IPv4 addresses; yes when nothing is said.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6 addresses; no when nothing is said.
    pub enable_ipv6: Option<bool>,
    /// All labels, those of [`super::label`] included.
    pub labels: BTreeMap<String, String>,
    /// Where its addresses are written, or else the network itself.
    #[serde(default)]
    pub place: Option<Place>,
}

/// How a network's addresses are given out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamSpec {
    /// The driver; the engine's own when nothing is said.
    pub driver: Option<String>,
    /// The pools, at most one per address family.
    pub pools: Vec<IpamPool>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// A pool of addresses; all texts are as the file has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    /// The subnet in CIDR notation.
    pub subnet: Option<String>,
    /// The part of it that addresses are taken from, in CIDR notation.
    pub ip_range: Option<String>,
    /// The address of the way out.
    pub gateway: Option<IpAddr>,
    /// Addresses that are never given out, by name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// What a container is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Networks, in the order in which they are connected.
    Endpoints(Vec<EndpointSpec>),
    /// Nothing but its own loopback.
    None,
    /// The host's network itself.
    Host,
    /// The network namespace of a container, which may be of no project.
    Container(ContainerName),
    /// The network namespace of a replica of a service of the same project.
    Service {
        /// The service.
        service: ServiceName,
        /// The replica's container.
        container: ContainerName,
    },
}

impl NetworkMode {
    /// The endpoints, in connect order; none for the other modes.
    pub fn endpoints(&self) -> &[EndpointSpec] {
        match self {
            Self::Endpoints(endpoints) => endpoints,
            Self::None | Self::Host | Self::Container(_) | Self::Service { .. } => &[],
        }
    }

    /// The same, for changes.
    pub(super) fn endpoints_mut(&mut self) -> &mut [EndpointSpec] {
        match self {
            Self::Endpoints(endpoints) => endpoints,
            Self::None | Self::Host | Self::Container(_) | Self::Service { .. } => &mut [],
        }
    }
}

/// How a container hangs on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// The network.
    pub network: NetworkName,
    /// Its key in the file.
    pub key: String,
    /// All names under which others on the network find it, sorted.
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Addresses that other containers of the file have fixed: none of them is given out here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kept_free: BTreeSet<IpAddr>,
    /// Additional addresses that are only valid on the link.
    pub link_local_ips: Vec<IpAddr>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// The link's name inside.
    pub interface_name: Option<String>,
    /// The network with the highest number is the way out.
    pub gw_priority: i64,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
}

/// How names are resolved inside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverSpec {
    /// Servers for names that are no container's; the host's when there are none.
    pub servers: Vec<String>,
    /// Domains in which short names are looked up.
    pub search: Vec<String>,
    /// Options of `resolv.conf`.
    pub options: Vec<String>,
    /// Additional lines of `/etc/hosts`, in the order in which they are written.
    pub hosts: Vec<HostName>,
    /// Names that this container alone uses, each for a service that its networks know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostName {
    /// The name.
    pub name: String,
    /// The address, or `host-gateway`.
    pub address: String,
}

/// A port of the container that is published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The address of the host that listens; all addresses when nothing is said.
    pub host_ip: Option<IpAddr>,
    /// The ports of the host of which one is taken; any free one when nothing is said.
    pub published: Option<PortRange>,
    /// The port of the container.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Neighbouring ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many ports there are to choose from.
    pub fn count(self) -> usize {
        usize::from(self.last.saturating_sub(self.first)) + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}
