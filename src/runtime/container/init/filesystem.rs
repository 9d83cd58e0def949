//! The mounts, devices and masks of a container, as steps that the child takes one by one.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::runtime::kernel::mount::{self, Depth, FsContext, Propagation, Restrictions};
use crate::runtime::kernel::rooted::Target;

/// One mount.
#[derive(Debug)]
pub(super) struct MountStep {
    /// What the user calls it.
    pub(super) label: String,
    pub(super) from: MountFrom,
    pub(super) target: Target,
    pub(super) propagation: Option<(Propagation, Depth)>,
    pub(super) keep: Keep,
}

/// What is mounted.
#[derive(Debug)]
pub(super) enum MountFrom {
    /// A filesystem made in the child, in the namespaces that it belongs to.
    New {
        kind: CString,
        options: Vec<(CString, Option<CString>)>,
        restrictions: Restrictions,
    },
    /// Something of the host that the parent has opened: a detached copy.
    Tree {
        tree: OwnedFd,
        add: Restrictions,
        remove: Restrictions,
        depth: Depth,
    },
}

/// Which mounts later steps need again, or another container may have already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Proc,
    Terminals,
    SharedMemory,
}

impl MountStep {
    /// Makes and attaches the mount, or attaches the one that is `given`; returns it.
    pub(super) fn perform(
        &self,
        root: BorrowedFd<'_>,
        given: Option<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Errno> {
        let target = self.target.ensure(root)?;
        if let Some(mount) = given {
            self.attach(&mount, &target)?;
            return Ok(Some(mount));
        }
        match &self.from {
            MountFrom::New {
                kind,
                options,
                restrictions,
            } => {
                let mount = new_filesystem(kind, options, *restrictions)?;
                self.attach(&mount, &target)?;
                Ok(Some(mount))
            }
            MountFrom::Tree {
                tree,
                add,
                remove,
                depth,
            } => {
                if !add.is_empty() || !remove.is_empty() {
                    mount::restrict(tree, *add, *remove, *depth)?;
                }
                self.attach(tree, &target)?;
                match self.keep {
                    Keep::Nothing | Keep::SharedMemory => Ok(None),
                    Keep::Proc | Keep::Terminals => {
                        rustix::io::fcntl_dupfd_cloexec(tree, 3).map(Some)
                    }
                }
            }
        }
    }

    fn attach(&self, mount: &OwnedFd, target: &OwnedFd) -> Result<(), Errno> {
        mount::attach(mount, target)?;
        match self.propagation {
            Some((propagation, depth)) => mount::set_propagation(mount, propagation, depth),
            None => Ok(()),
        }
    }
}

fn new_filesystem(
    kind: &CStr,
    options: &[(CString, Option<CString>)],
    restrictions: Restrictions,
) -> Result<OwnedFd, Errno> {
    let context = FsContext::new(kind)?;
    for (key, value) in options {
        match value {
            Some(value) => context.string(key, value)?,
            None => context.flag(key)?,
        };
    }
    context.mount(restrictions)
}

/// One device.
#[derive(Debug)]
pub(super) struct DeviceStep {
    pub(super) label: String,
    /// The directory it lies in.
    pub(super) dir: Target,
    pub(super) name: CString,
    pub(super) how: DeviceHow,
}

/// How a device gets into the container.
#[derive(Debug)]
pub(super) enum DeviceHow {
    /// A node of its own.
    Node {
        kind: FileType,
        mode: Mode,
        number: u64,
        owner: (Uid, Gid),
    },
    /// The host's node, where nobody may make one: in a user namespace. The target is its place.
    Bind { tree: OwnedFd, target: Target },
}

impl DeviceStep {
    /// Makes the device; one that is there already is replaced by nobody else's.
    pub(super) fn perform(&self, root: BorrowedFd<'_>) -> Result<(), Errno> {
        match &self.how {
            DeviceHow::Bind { tree, target } => mount::attach(tree, target.ensure(root)?),
            DeviceHow::Node {
                kind,
                mode,
                number,
                owner,
            } => {
                let dir = self.dir.ensure(root)?;
                match rustix::fs::mknodat(&dir, &self.name, *kind, *mode, *number) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => {
                        rustix::fs::unlinkat(&dir, &self.name, rustix::fs::AtFlags::empty())?;
                        rustix::fs::mknodat(&dir, &self.name, *kind, *mode, *number)?;
                    }
                    Err(errno) => return Err(errno),
                }
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let node = rustix::fs::openat(&dir, &self.name, flags, Mode::empty())?;
                // In a volume that another container has, too, the name may be somebody else's by now.
                let stat = rustix::fs::fstat(&node)?;
                if FileType::from_raw_mode(stat.st_mode) != *kind || stat.st_rdev != *number {
                    return Err(Errno::EXIST);
                }
                // Its mode is as it was made: this process has no umask.
                let empty = rustix::fs::AtFlags::EMPTY_PATH;
                rustix::fs::chownat(&node, c"", Some(owner.0), Some(owner.1), empty)
            }
        }
    }
}

/// The usual links in /dev, and what they say.
pub(super) const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Makes the usual links in the container's own /dev.
pub(super) fn make_links(dev: &OwnedFd) -> Result<(), Errno> {
    for (name, text) in LINKS {
        match rustix::fs::symlinkat(text, dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Hides paths: files behind the null device, directories behind one empty read-only tmpfs.
#[derive(Debug, Default)]
pub(super) struct Masks {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Masks {
    /// Hides one path; one that is not there needs no hiding.
    pub(super) fn hide(
        &mut self,
        root: BorrowedFd<'_>,
        path: &Target,
        null: &Target,
    ) -> Result<(), Errno> {
        let target = match path.find(root) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            found => found?,
        };
        let stat = rustix::fs::fstat(&target)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            self.hide_directory(&target)
        } else {
            self.hide_file(root, &target, null)
        }
    }

    fn hide_directory(&mut self, target: &OwnedFd) -> Result<(), Errno> {
        if let Some(empty) = &self.empty {
            return mount::attach(mount::clone_tree(empty, c"", Depth::One)?, target);
        }
        let restrictions = Restrictions::MOUNT_ATTR_RDONLY
            | Restrictions::MOUNT_ATTR_NOSUID
            | Restrictions::MOUNT_ATTR_NODEV
            | Restrictions::MOUNT_ATTR_NOEXEC;
        let context = FsContext::new(c"tmpfs")?;
        context
            .string(c"nr_inodes", c"2")?
            .string(c"mode", c"555")?;
        let empty = context.mount(restrictions)?;
        mount::attach(&empty, target)?;
        self.empty = Some(empty);
        Ok(())
    }

    fn hide_file(
        &mut self,
        root: BorrowedFd<'_>,
        target: &OwnedFd,
        null: &Target,
    ) -> Result<(), Errno> {
        let null = match self.null.take() {
            Some(null) => null,
            None => open_null(root, null)?,
        };
        let copy = mount::clone_tree(&null, c"", Depth::One)?;
        self.null = Some(null);
        mount::attach(copy, target)
    }
}

/// Opens the container's null device and makes sure that it is one (CVE-2025-31133).
fn open_null(root: BorrowedFd<'_>, null: &Target) -> Result<OwnedFd, Errno> {
    let found = null.find(root)?;
    let stat = rustix::fs::fstat(&found)?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(found) } else { Err(Errno::NXIO) }
}

/// Makes a path and what is mounted below it read-only; one that is not there needs nothing.
pub(super) fn make_read_only(root: BorrowedFd<'_>, path: &Target) -> Result<(), Errno> {
    let target = match path.find(root) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found?,
    };
    let copy = mount::clone_tree(&target, c"", Depth::Tree)?;
    mount::restrict(
        &copy,
        Restrictions::MOUNT_ATTR_RDONLY,
        Restrictions::empty(),
        Depth::Tree,
    )?;
    mount::attach(&copy, &target)
}

/// Makes the mount whose root the path is read-only, leaving those below it as they are.
pub(super) fn seal(root: BorrowedFd<'_>, path: &Target) -> Result<(), Errno> {
    let target = path.find(root)?;
    mount::restrict(
        target.as_fd(),
        Restrictions::MOUNT_ATTR_RDONLY,
        Restrictions::empty(),
        Depth::One,
    )
}
