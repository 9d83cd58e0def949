//! Mounts as descriptors: made detached, changed, and attached in one step that cannot be redirected.
//!
//! A mount that is not attached anywhere goes away with its descriptor, so a crash leaves nothing.
//!
//! **Invariant:** no function here allocates: the child between `clone` and `execve` uses them.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MoveMountFlags, OpenTreeFlags};

use super::process::check;

/// Restrictions of one mount, as a set.
pub use rustix::mount::MountAttrFlags as Restrictions;

/// Whether an act takes in the mounts below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the named mount.
    One,
    /// All mounts below as well.
    Tree,
}

/// How later mounts travel between copies of one mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the original to here only.
    Slave,
    /// Both ways.
    Shared,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    fn bits(self) -> u64 {
        match self {
            Self::Private => 1 << 18,
            Self::Slave => 1 << 19,
            Self::Shared => 1 << 20,
            Self::Unbindable => 1 << 17,
        }
    }
}

/// A filesystem that is being configured.
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
}

impl FsContext {
    /// Begins a filesystem of this kind.
    pub fn new(kind: &CStr) -> Result<Self, Errno> {
        let fd = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        Ok(Self { fd })
    }

    /// Sets an option without a value.
    pub fn flag(&self, key: &CStr) -> Result<&Self, Errno> {
        rustix::mount::fsconfig_set_flag(&self.fd, key)?;
        Ok(self)
    }

    /// Sets an option, at most 255 bytes.
    pub fn string(&self, key: &CStr, value: &CStr) -> Result<&Self, Errno> {
        rustix::mount::fsconfig_set_string(&self.fd, key, value)?;
        Ok(self)
    }

    /// Sets an option to an open file.
    pub fn file(&self, key: &CStr, value: impl AsFd) -> Result<&Self, Errno> {
        rustix::mount::fsconfig_set_fd(&self.fd, key, value)?;
        Ok(self)
    }

    /// Makes the filesystem and returns it as a detached mount.
    pub fn mount(&self, restrictions: Restrictions) -> Result<OwnedFd, Errno> {
        rustix::mount::fsconfig_create(&self.fd)?;
        rustix::mount::fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
    }
}

/// Returns a detached copy of what is mounted at `path` below `dir`.
pub fn clone_tree(dir: impl AsFd, path: &CStr, depth: Depth) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(dir, path, flags)
}

/// Returns a detached copy of what is mounted at a path of the host that the user chose.
pub fn clone_path(path: &CStr, depth: Depth) -> Result<OwnedFd, Errno> {
    clone_tree(CWD, path, depth)
}

/// Attaches a detached mount on the directory or file that `target` holds.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags)
}

/// Adds and removes restrictions of a mount.
pub fn restrict(
    mount: impl AsFd,
    add: Restrictions,
    remove: Restrictions,
    depth: Depth,
) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: u64::from(add.bits()),
        clear: u64::from(remove.bits()),
        ..MountAttributes::default()
    };
    set_attributes(mount.as_fd(), c"", &attributes, depth)
}

/// Says how later mounts travel to and from this one.
pub fn set_propagation(
    mount: impl AsFd,
    propagation: Propagation,
    depth: Depth,
) -> Result<(), Errno> {
    let attributes = MountAttributes {
        propagation: propagation.bits(),
        ..MountAttributes::default()
    };
    set_attributes(mount.as_fd(), c"", &attributes, depth)
}

/// Says the same for every mount of this mount namespace.
pub fn set_propagation_of_all(propagation: Propagation) -> Result<(), Errno> {
    let attributes = MountAttributes {
        propagation: propagation.bits(),
        ..MountAttributes::default()
    };
    set_attributes(CWD, c"/", &attributes, Depth::Tree)
}

/// Shows the files of a detached mount under the ids of a user namespace.
pub fn map_ids(mount: impl AsFd, user_namespace: impl AsFd, depth: Depth) -> Result<(), Errno> {
    let descriptor = u64::try_from(user_namespace.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    let attributes = MountAttributes {
        set: MOUNT_ATTR_IDMAP,
        user_namespace: descriptor,
        ..MountAttributes::default()
    };
    set_attributes(mount.as_fd(), c"", &attributes, depth)
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn set_attributes(
    dir: BorrowedFd<'_>,
    path: &CStr,
    attributes: &MountAttributes,
    depth: Depth,
) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH;
    if depth == Depth::Tree {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: path and attributes live through the call and the structure's size is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    })?;
    Ok(())
}

/// Takes a mount and all below it out of sight; it goes away when the last user does.
pub fn detach(path: &CStr) -> Result<(), Errno> {
    rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH)
}
