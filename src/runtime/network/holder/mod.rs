//! An ordinary user's user and network namespace, shared by all of their containers.

mod protocol;
mod client;

pub use client::HolderClient;
pub use protocol::{HolderState, IdMapping, Outside};
