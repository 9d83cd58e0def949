//! What belongs to joined namespaces beside them: the /proc and /dev/shm of the containers that have them.
//!
//! A procfs shows the pid namespace of the process that mounts it. That process would have to be in the
//! joined namespace with all rights of the host, where the other container sees it: so the other
//! container's own procfs is shown again.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::plan::InitPlan;
use super::report::{Act, Failure};
use crate::runtime::kernel::mount::{self, Depth, Restrictions};
use crate::runtime::kernel::namespace::{self, Namespaces};

/// Detached copies of mounts of other containers.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) proc: Option<OwnedFd>,
    pub(super) shared_memory: Option<OwnedFd>,
}

impl Joined {
    /// Copies what the plan shares with other containers.
    ///
    /// The calling process must have only one thread and its own mount namespace, and returns to that.
    pub(super) fn copy(plan: &InitPlan) -> Result<Self, Failure> {
        let mut joined = Self::default();
        if let Some(pid) = &plan.pid {
            let copied = copy_from(&pid.process, || copy_proc(&pid.namespace));
            joined.proc = Some(copied.map_err(Failure::of(Act::Joined, 0))?);
        }
        if let Some(process) = &plan.shared_memory {
            let copied = copy_from(process, copy_shared_memory);
            joined.shared_memory = Some(copied.map_err(Failure::of(Act::Joined, 1))?);
        }
        Ok(joined)
    }
}

/// Copies in the mount namespace of another container's process.
fn copy_from(
    process: impl AsFd,
    copy: impl FnOnce() -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::openat(CWD, c"/proc/self/ns/mnt", flags, Mode::empty())?;
    namespace::enter_raw(process, Namespaces::NEWNS)?;
    let copied = copy();
    namespace::enter_raw(&own, Namespaces::NEWNS)?;
    copied
}

/// Opens a directory of the container in whose mount namespace we are, which may have put anything there.
fn find(path: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
}

fn copy_shared_memory() -> Result<OwnedFd, Errno> {
    let copy = mount::clone_tree(find(c"/dev/shm")?, c"", Depth::One)?;
    let restrictions = Restrictions::MOUNT_ATTR_NOSUID
        | Restrictions::MOUNT_ATTR_NODEV
        | Restrictions::MOUNT_ATTR_NOEXEC;
    mount::restrict(&copy, restrictions, Restrictions::empty(), Depth::One)?;
    Ok(copy)
}

/// Copies a procfs only if it shows the namespace.
fn copy_proc(namespace: &OwnedFd) -> Result<OwnedFd, Errno> {
    let found = find(c"/proc")?;
    let is_root_of_proc = rustix::fs::fstatfs(&found)?.f_type == PROC_MAGIC
        && rustix::fs::fstat(&found)?.st_ino == PROC_ROOT_INODE;
    if !is_root_of_proc {
        return Err(Errno::NODEV);
    }
    let copy = mount::clone_tree(&found, c"", Depth::One)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let shown = rustix::fs::openat(&copy, c"1/ns/pid", flags, Mode::empty())?;
    let (shown, wanted) = (rustix::fs::fstat(&shown)?, rustix::fs::fstat(namespace)?);
    if (shown.st_dev, shown.st_ino) == (wanted.st_dev, wanted.st_ino) {
        Ok(copy)
    } else {
        Err(Errno::NODEV)
    }
}

const PROC_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;
