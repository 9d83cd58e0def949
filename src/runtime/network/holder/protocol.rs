//! What the holder is asked over its socket, and what it answers: one message each, JSON.
//!
//! **Invariant:** a request asks for nothing that the asking user could not do by themselves.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::runtime::network::publish::{PortHolder, Protocol, SocketFamily};

/// The largest message in either direction.
pub(super) const MESSAGE_BYTES: usize = 4096;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// The user namespace, with its descriptor.
    UserNamespace,
    /// The network namespace, with its descriptor.
    NetworkNamespace,
    /// A fresh socket of the host's network namespace, with its descriptor.
    Socket {
        /// IPv4 or IPv6.
        family: SocketFamily,
        /// Streams or datagrams.
        kind: Protocol,
    },
    /// Who has a port of the host.
    WhoListens {
        /// The address with the port.
        address: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response {
    /// A namespace; its descriptor comes along.
    Namespace(HolderState),
    /// A socket; its descriptor comes along.
    Socket,
    /// Who has the port.
    Listens(PortHolder),
    /// It did not work; the kernel's number for why.
    Failed {
        /// The error number.
        errno: i32,
    },
}

/// What an ordinary user's containers have and lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderState {
    /// Which ids exist inside.
    pub ids: IdMapping,
    /// How packets leave.
    pub outside: Outside,
}

/// Which user and group ids exist inside the user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdMapping {
    /// Root is the user; the others are the user's subordinate ids.
    Range {
        /// How many ids exist besides root.
        count: u32,
    },
    /// Only root, who is the user.
    Single {
        /// Why there are no more.
        reason: String,
    },
}

/// How packets leave the namespace of the holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// Through this program.
    Program {
        /// `pasta` or `slirp4netns`.
        name: String,
    },
    /// Not at all: containers reach each other, and published ports work.
    None {
        /// Why.
        reason: String,
    },
}
