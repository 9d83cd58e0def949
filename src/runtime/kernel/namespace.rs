//! Entering, leaving and holding namespaces by descriptor.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::ThreadNameSpaceType;

use super::error::KernelError;

/// Kinds of namespace, as a set.
pub use rustix::thread::UnshareFlags as Namespaces;

/// Gives the calling thread new namespaces of the given kinds.
///
/// A new pid namespace is that of the next children, not of the caller.
pub fn unshare(kinds: Namespaces) -> Result<(), KernelError> {
    unshare_raw(kinds).map_err(KernelError::call("make new namespaces"))
}

/// As [`unshare`], for the child between `clone` and `execve`.
pub fn unshare_raw(kinds: Namespaces) -> Result<(), Errno> {
    // SAFETY: the descriptor table is never unshared, so no descriptor becomes invalid elsewhere.
    unsafe { rustix::thread::unshare_unsafe(kinds.difference(Namespaces::FILES)) }
}

/// Moves the calling thread into namespaces: one by its own descriptor, or several by a pidfd.
pub fn enter(namespace: impl AsFd, kinds: Namespaces) -> Result<(), KernelError> {
    enter_raw(namespace, kinds).map_err(KernelError::call("enter a namespace"))
}

/// As [`enter`], for the child between `clone` and `execve`.
pub fn enter_raw(namespace: impl AsFd, kinds: Namespaces) -> Result<(), Errno> {
    let kinds = ThreadNameSpaceType::from_bits_retain(kinds.bits());
    rustix::thread::move_into_thread_name_spaces(namespace.as_fd(), kinds)
}

/// Opens a namespace of a process: `name` as below `/proc/PID/ns`, such as `net`.
///
/// The caller checks afterwards, by a pidfd, that the process is still the one it meant.
pub fn open_of(pid: i32, name: &str) -> Result<OwnedFd, KernelError> {
    open_link(&format!("/proc/{pid}/ns/{name}"))
}

/// Returns the kernel's number of a namespace of a process: `name` as below `/proc/PID/ns`.
pub fn number_of(pid: i32, name: &str) -> Result<u64, KernelError> {
    let namespace = open_of(pid, name)?;
    let found = rustix::fs::fstat(namespace).map_err(KernelError::call("look at a namespace"))?;
    Ok(found.st_ino)
}

fn open_link(path: &str) -> Result<OwnedFd, KernelError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(KernelError::call_on("open namespace", path))
}

/// Says whether two descriptors hold the same namespace.
pub fn same(one: impl AsFd, other: impl AsFd) -> Result<bool, KernelError> {
    let one = rustix::fs::fstat(one).map_err(KernelError::call("look at a namespace"))?;
    let other = rustix::fs::fstat(other).map_err(KernelError::call("look at a namespace"))?;
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}
