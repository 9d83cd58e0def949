//! Fresh sockets of the host's network namespace, whichever namespace the caller lives in.
//!
//! A socket belongs to the namespace in which it was made and can be bound, connected and used from
//! anywhere. So an ordinary user's monitor, which cannot go back to the host's namespace, only needs
//! somebody there who makes sockets and hands them over: the [`holder`](crate::runtime::network::holder).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};

use crate::runtime::kernel::netlink::{inside, own_netns};
use crate::runtime::network::holder::HolderClient;

use super::{PortHolder, Protocol, who_listens};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SocketFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl SocketFamily {
    /// Returns the family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Streams or datagrams.
pub type SocketKind = Protocol;

/// Where sockets of the host's network namespace come from.
#[derive(Debug)]
pub enum HostSockets {
    /// The calling thread is in that namespace.
    Here,
    /// The caller may enter that namespace for a moment.
    In(OwnedFd),
    /// The holder of this user's namespaces makes them.
    Holder(HolderClient),
}

impl HostSockets {
    /// Makes a socket: not bound, not connected, not blocking, close-on-exec.
    pub fn open(&self, family: SocketFamily, kind: SocketKind) -> io::Result<OwnedFd> {
        match self {
            Self::Here => open_here(family, kind),
            Self::In(netns) => inside(netns, || open_here(family, kind)),
            Self::Holder(client) => client.open_socket(family, kind),
        }
    }

    /// Returns the same for a thread that is about to leave the host's network namespace.
    pub fn for_another_namespace(self) -> io::Result<Self> {
        Ok(match self {
            Self::Here => Self::In(own_netns()?),
            Self::In(netns) => Self::In(netns),
            Self::Holder(client) => Self::Holder(client),
        })
    }

    /// Finds out who has a port, as far as it can be known.
    pub fn who_listens(&self, address: SocketAddr, protocol: Protocol) -> PortHolder {
        match self {
            Self::Here => who_listens(address, protocol),
            Self::In(netns) => {
                let found = inside(netns, || Ok::<_, io::Error>(who_listens(address, protocol)));
                found.unwrap_or(PortHolder::Unknown)
            }
            Self::Holder(client) => client
                .who_listens(address, protocol)
                .unwrap_or(PortHolder::Unknown),
        }
    }
}

/// Makes a socket in the calling thread's network namespace.
pub(in crate::runtime::network) fn open_here(
    family: SocketFamily,
    kind: SocketKind,
) -> io::Result<OwnedFd> {
    let family = match family {
        SocketFamily::V4 => AddressFamily::INET,
        SocketFamily::V6 => AddressFamily::INET6,
    };
    let kind = match kind {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    Ok(socket_with(
        family,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?)
}
