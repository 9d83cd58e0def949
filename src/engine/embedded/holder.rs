//! For an ordinary user: the namespaces in which this user's containers live, joined by each command.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::inner::Inner;
use crate::engine::EngineError;
use crate::runtime::kernel::namespace::{self, Namespaces};
use crate::runtime::kernel::{KernelError, thread};
use crate::runtime::network::holder::{self, HolderHandle, Outside};

/// The holder of this user's namespaces.
#[derive(Debug)]
pub(super) struct Holder {
    handle: HolderHandle,
}

/// Joins the user's own user namespace, unless the process is root.
///
/// Afterwards it is root over that namespace, and the same code runs for both. Its network stays the
/// host's, where registries are; see [`Inner::in_network`].
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
    namespace::enter(&handle.userns, Namespaces::NEWUSER)
        .map_err(|error: KernelError| unreachable(error.into()))?;
    // Mounts of our own, in which we may mount: to start ourselves from a form nobody can write to.
    namespace::unshare(Namespaces::NEWNS)
        .map_err(|error: KernelError| unreachable(error.into()))?;
    Ok(Some(Holder { handle }))
}

impl Inner {
    /// Does `act` in the network namespace where the bridges are: the host's, or the holder's.
    ///
    /// A thread of its own enters the holder's, because there is no way back for an ordinary user.
    pub(super) fn in_network<T: Send>(
        &self,
        act: impl FnOnce() -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let Some(holder) = &self.holder else {
            return act();
        };
        let netns = &holder.handle.netns;
        let inside = || {
            namespace::enter(netns, Namespaces::NEWNET)
                .map_err(|error| EngineError::act("enter this user's network", error))?;
            act()
        };
        let done = thread::apart(inside);
        done.map_err(|error| EngineError::act("make a thread in this user's network", error))?
    }
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
