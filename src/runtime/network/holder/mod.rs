//! An ordinary user's user and network namespace, shared by all of their containers.
//!
//! ```text
//! host's namespaces                          the holder's namespaces
//! ┌──────────────────────────────┐           ┌───────────────────────────────┐
//! │ consort [holder]             │  holds    │ bridges, monitors, commands   │
//! │  hands out: namespaces,      ├──────────►│ after `join`                  │
//! │  sockets of the host         │  by fd    │  published ports: sockets of  │
//! │ pasta or slirp4netns         │           │  the host, used from here     │
//! └──────────────────────────────┘           └───────────────────────────────┘
//!
//! <folder>/holder.start       locked while somebody starts a holder
//! <folder>/holder.users       locked shared by every user of the namespaces; exclusively to leave
//! <folder>/holder.socket      where it answers, mode 0600
//! <folder>/holder.json        the inodes of its namespaces, so that a new holder finds them again
//! ```
//!
//! The holder itself stays in the host's namespaces: from inside, nobody gets back there, so it makes
//! the sockets that must belong to the host and passes them on. It lives until it gets the lock of
//! its users for itself. Killed, it is missed by no running container: the next command starts
//! another one, which finds the namespaces through the processes in them.
//!
//! **Invariant:** the holder does nothing for anyone but its own user, asked by peer credentials.

mod client;
mod ensure;
mod ids;
mod lock;
mod namespaces;
mod outside;
mod process;
mod programs;
mod protocol;
mod server;

pub use client::HolderClient;
pub use ensure::{HolderHandle, ensure, join};
pub use lock::Lease;
pub use process::{ARG0, main};
pub use protocol::{HolderState, IdMapping, Outside};

use std::path::{Path, PathBuf};

/// The files of one holder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    start_lock: PathBuf,
    users_lock: PathBuf,
    socket: PathBuf,
    record: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Self {
        Self {
            start_lock: folder.join("holder.start"),
            users_lock: folder.join("holder.users"),
            socket: folder.join("holder.socket"),
            record: folder.join("holder.json"),
        }
    }
}
