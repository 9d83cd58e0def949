//! Waits for a record or a log to change, by inotify; never on a tick.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// What kind of change in a directory counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A file was replaced, made or removed.
    Names,
    /// As `Names`, or bytes were appended to a file.
    Bytes,
}

/// Directories that are watched together.
#[derive(Debug)]
pub(super) struct DirWatch {
    inotify: AsyncFd<OwnedFd>,
    change: Change,
}

impl DirWatch {
    /// Starts to watch nothing yet; must be called inside the async runtime.
    pub(super) fn new(change: Change) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "unsound only for a type that changes its descriptor; an `OwnedFd` cannot"
        )]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self { inotify, change })
    }

    /// Adds a directory; what changes from now on wakes [`DirWatch::changed`].
    pub(super) fn add(&self, dir: &Path) -> io::Result<()> {
        let names = WatchFlags::MOVED_TO
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF;
        let flags = match self.change {
            Change::Names => names,
            Change::Bytes => names | WatchFlags::MODIFY,
        };
        let _watch = inotify::add_watch(self.inotify.get_ref(), dir, flags)?;
        Ok(())
    }

    /// Returns once something changed since the last call.
    pub(super) async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut buffer = [0_u8; 4096];
            match rustix::io::read(self.inotify.get_ref(), &mut buffer) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
