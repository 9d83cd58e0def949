//! The /proc of a container whose pid namespace another one joins.
//!
//! A procfs shows the pid namespace of the process that mounts it. That process would have to be in the
//! joined namespace with all rights of the host, where the other container sees it: so the other
//! container's own procfs is shown again.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::runtime::container::bundle::JoinedPid;
use crate::runtime::kernel::mount::{self, Depth};
use crate::runtime::kernel::namespace::{self, Namespaces};

/// Returns a detached copy of the procfs that shows the joined pid namespace.
///
/// The calling process must have only one thread and its own mount namespace, and returns to that.
pub(super) fn copy_proc(pid: &JoinedPid) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::openat(CWD, c"/proc/self/ns/mnt", flags, Mode::empty())?;
    namespace::enter_raw(&pid.process, Namespaces::NEWNS)?;
    let copied = copy_from_here(pid);
    namespace::enter_raw(&own, Namespaces::NEWNS)?;
    copied
}

/// Copies what is mounted at /proc here, if that is what it must be: the other container may have put
/// anything there.
fn copy_from_here(pid: &JoinedPid) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = rustix::fs::openat2(CWD, c"/proc", flags, Mode::empty(), resolve)?;
    let is_root_of_proc = rustix::fs::fstatfs(&found)?.f_type == PROC_MAGIC
        && rustix::fs::fstat(&found)?.st_ino == PROC_ROOT_INODE;
    if !is_root_of_proc {
        return Err(Errno::NODEV);
    }
    let copy = mount::clone_tree(&found, c"", Depth::One)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let shown = rustix::fs::openat(&copy, c"1/ns/pid", flags, Mode::empty())?;
    let (shown, wanted) = (
        rustix::fs::fstat(&shown)?,
        rustix::fs::fstat(&pid.namespace)?,
    );
    if (shown.st_dev, shown.st_ino) == (wanted.st_dev, wanted.st_ino) {
        Ok(copy)
    } else {
        Err(Errno::NODEV)
    }
}

const PROC_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;
