//! For an ordinary user: the namespaces in which this user's containers live, joined by each command.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::engine::EngineError;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::namespace::{self, Namespaces};
use crate::runtime::network::holder::{self, HolderHandle, Outside};

/// The holder of this user's namespaces.
#[derive(Debug)]
pub(super) struct Holder {
    handle: HolderHandle,
}

/// Joins the user's own namespaces, unless the process is root.
///
/// Afterwards it is root over them, and the same code runs for both.
pub(super) fn join_as_user(run_base: &Path) -> Result<Option<Holder>, EngineError> {
    if rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Unreachable {
        engine: "embedded",
        source,
    };
    let handle =
        holder::ensure(&run_base.join("holder")).map_err(|error| unreachable(error.into()))?;
    holder::join(&handle).map_err(|error| unreachable(error.into()))?;
    // Mounts of our own, in which we may mount: to start ourselves from a form nobody can write to.
    namespace::unshare(Namespaces::NEWNS)
        .map_err(|error: KernelError| unreachable(error.into()))?;
    Ok(Some(Holder { handle }))
}

impl Holder {
    /// Returns where the holder answers.
    pub(super) fn socket(&self) -> PathBuf {
        self.handle.client.socket().to_owned()
    }

    /// Returns a share in the holder, for a monitor to keep.
    pub(super) fn lease(&self) -> std::io::Result<OwnedFd> {
        Ok(self.handle.lease.try_clone()?.into_fd())
    }

    /// Returns why containers cannot reach the outside, if they cannot.
    pub(super) fn no_way_out(&self) -> Option<String> {
        match &self.handle.state.outside {
            Outside::Program { .. } => None,
            Outside::None { reason } => Some(reason.clone()),
        }
    }
}
