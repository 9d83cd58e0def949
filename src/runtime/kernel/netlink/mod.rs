//! Netlink: link, address, route and filter requests into kernel state, by one blocking socket.
//!
//! A socket talks to the network namespace in which it was opened, wherever its thread goes later.
//! Blocking and small on purpose: the process beside each container uses it and has no async runtime.
//!
//! **Invariant:** every request is acknowledged by the kernel before the call returns; only
//! [`RouteSocket::request_beside`] leaves that to a process of its own.

mod attributes;
mod filter;
mod netns;
mod route;
mod socket;

pub use attributes::{Attribute, AttributeReader, AttributeWriter};
pub use filter::{FilterBatch, FilterSocket, Generation};
pub use netns::{inside, new_netns, own_netns, own_netns_id};
pub use route::{LinkRemovals, RouteSocket};
pub use socket::NETLINK_TIMEOUT;
