//! Wanted ports into listening sockets in the host's network namespace.
//!
//! **Invariant:** all ports of a container are open, or none is.
//! **Invariant:** a port bound to 127.0.0.1 is a socket on 127.0.0.1, never a rule that rewrites
//! packets, so that no other machine or container can reach it at any moment.

mod bind;
mod holder;
mod host_sockets;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

pub use bind::bind;
pub use holder::{PortHolder, who_listens};
pub(in crate::runtime::network) use host_sockets::open_here;
pub use host_sockets::{HostSockets, SocketFamily, SocketKind};

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Which port of the host is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPort {
    /// Any that is free.
    Any,
    /// The first free one from `first` to `last`; the same number twice is exactly that port.
    Within {
        /// The lowest acceptable port.
        first: u16,
        /// The highest acceptable port.
        last: u16,
    },
}

/// One wanted port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishConfig {
    /// The host's address to listen on; none is every address, of IPv4 and of IPv6.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: HostPort,
    /// The container's port.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A port that is open on the host.
#[derive(Debug)]
pub struct PublishedPort {
    /// Where it listens.
    pub host: SocketAddr,
    /// The container's port.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The listening (TCP) or bound (UDP) socket, not blocking.
    pub socket: OwnedFd,
}
