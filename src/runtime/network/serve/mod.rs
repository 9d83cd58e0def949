//! The one thread that lives in a container's network namespace: its names and its published ports.
//!
//! It answers DNS at 127.0.0.11, takes connections and datagrams from sockets that were opened in the
//! host's namespace, and passes them on to the container's address from the namespace of its bridges. So
//! a service that listens on 127.0.0.1 alone is not published, and the service sees the gateway's
//! address as the client's, both as with Docker's proxy.
//!
//! **Invariant:** one thread, one epoll set; it sleeps unless a socket or a deadline wakes it.
//! **Invariant:** every table here has a named limit; a peer that stalls costs itself alone.

mod datagram;
mod names;
mod pipes;
mod reactor;
mod room;
mod stream;
mod thread;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::value::Cidr;

use super::publish::{HostSockets, PublishedPort};

use room::Room;

pub use thread::NetThread;

/// All that the thread needs.
#[derive(Debug)]
pub struct ServeConfig {
    /// The container's network namespace.
    pub netns: OwnedFd,
    /// Ports of the host, from [`publish::bind`](crate::runtime::network::publish::bind).
    pub ports: Vec<PublishedPort>,
    /// Where they lead.
    pub target: PortTarget,
    /// What the name server answers; none where the container uses the host's resolvers itself.
    pub names: Option<NamesConfig>,
    /// Where sockets of the host's network namespace come from, to ask the host's resolvers.
    pub host: HostSockets,
}

/// The container's own addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortTarget {
    /// IPv4.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

impl PortTarget {
    /// Returns where a client of this family is led: first its own family, then the other.
    fn candidates(&self, client: IpAddr, port: u16) -> Vec<SocketAddr> {
        let v4 = self.ipv4.map(IpAddr::V4);
        let v6 = self.ipv6.map(IpAddr::V6);
        let in_order = if client.is_ipv4() { [v4, v6] } else { [v6, v4] };
        in_order
            .into_iter()
            .flatten()
            .map(|ip| SocketAddr::new(ip, port))
            .collect()
    }
}

/// What the name server of one container knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesConfig {
    /// The container's networks.
    pub networks: Vec<ServedNetwork>,
    /// Names that only this container uses (`links`), each for a name that its networks know.
    pub links: BTreeMap<String, String>,
    /// Who is asked for other names, in this order; nobody where all networks are internal.
    pub resolvers: Vec<SocketAddr>,
    /// Where the name server listens inside.
    pub listen: NameServerPort,
}

/// A network whose names a container may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedNetwork {
    /// Its name, such as `demo_default`.
    pub name: String,
    /// The folder of its records.
    pub folder: PathBuf,
    /// Its subnets.
    pub subnets: Vec<Cidr>,
}

/// Where the name server listens inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameServerPort {
    /// On 127.0.0.11:53 itself.
    Plain,
    /// On another port, to which questions for 127.0.0.11:53 are led by the packet filter: for
    /// containers that serve port 53 themselves. Costs a table in the container's namespace.
    Redirected,
}
