//! Which subnet a network gets and which address an endpoint gets.
//!
//! **Invariant:** the same input gives the same answer; nothing here is random.

mod mac;
mod pool;
mod subnet;
mod taken;

pub use mac::MacAddress;
pub use pool::{Pool, PoolRange, unique_local_subnet};
pub use subnet::Subnet;
pub use taken::{ConnectedSubnet, connected_subnets, has_default_route, host_subnets};
