//! Locks on files by which holder and users know of each other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The right to use the holder's namespaces: as long as some copy of it is open, the holder stays.
///
/// Copies of the descriptor in other processes are copies of the lease.
#[derive(Debug)]
pub struct Lease {
    file: File,
}

impl Lease {
    /// Waits until no holder is leaving, and keeps the next one.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: locked(path, FlockOperation::LockShared)?,
        })
    }

    /// Takes over a descriptor that another process passed on.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self {
            file: File::from(fd),
        }
    }

    /// Returns a copy to pass on to a monitor.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
        })
    }

    /// Gives the descriptor up, to be passed to a new process.
    pub fn into_fd(self) -> OwnedFd {
        self.file.into()
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Waits until nobody else has the file, and keeps everybody else out.
pub(super) fn lock_alone(path: &Path) -> io::Result<File> {
    locked(path, FlockOperation::LockExclusive)
}

fn locked(path: &Path, operation: FlockOperation) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = options.open(path)?;
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
