//! Everything below a directory of a root, by descriptors, parents before children.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, StatxAttributes, StatxFlags};

use super::root::{EntryKind, Root};
use crate::runtime::kernel::error::KernelError;

/// One name that a walk came by.
#[derive(Debug)]
pub struct Entry {
    dir: Rc<OwnedFd>,
    /// Its last component.
    pub name: CString,
    /// Its path from where the walk began.
    pub path: PathBuf,
    /// What is known of it; a symbolic link is not followed.
    pub stat: Stat,
}

impl Entry {
    /// Returns the directory that holds the name, for an `*at` call with [`Entry::name`].
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Returns what kind of thing it is.
    pub fn kind(&self) -> EntryKind {
        EntryKind::of(&self.stat)
    }

    /// Opens it for reading if it is a directory or a regular file; a link is never followed.
    pub fn open(&self) -> Result<OwnedFd, KernelError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&*self.dir, &self.name, flags, Mode::empty())
            .map_err(KernelError::call_on("open", &self.path.display()))
    }
}

/// An iterator over a tree; see [`Root::walk`].
#[derive(Debug)]
pub struct Walk {
    pending: Vec<Level>,
    mounts: Mounts,
}

/// What becomes of what is mounted below the directory where a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// It is walked like everything else.
    Entered,
    /// A directory with something mounted on it is passed without what is in it, a file is left out.
    Skipped,
}

#[derive(Debug)]
struct Level {
    fd: Rc<OwnedFd>,
    path: PathBuf,
    names: std::vec::IntoIter<CString>,
}

impl Root {
    /// Walks everything below `path`, in the order of names; links are reported, not followed.
    pub fn walk(&self, path: &Path) -> Result<Walk, KernelError> {
        self.walk_with(path, Mounts::Entered)
    }

    /// Looks at one name as a walk would come by it; a link is not followed.
    pub fn look(&self, path: &Path) -> Result<Entry, KernelError> {
        let (dir, name) = self.parent(path)?;
        let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(KernelError::call_on("look at", &path.display()))?;
        Ok(Entry {
            dir: Rc::new(dir),
            name,
            path: path.to_owned(),
            stat,
        })
    }

    /// Does the same as [`Root::walk`] and says what becomes of what is mounted there.
    pub fn walk_with(&self, path: &Path, mounts: Mounts) -> Result<Walk, KernelError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Walk {
            pending: vec![Level::read(fd, PathBuf::new())?],
            mounts,
        })
    }
}

impl Level {
    fn read(fd: OwnedFd, path: PathBuf) -> Result<Self, KernelError> {
        let act = "list directory";
        let fail = |errno| KernelError::call_on(act, &path.display())(errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(Self {
            fd: Rc::new(fd),
            path,
            names: names.into_iter(),
        })
    }
}

impl Walk {
    fn visit(
        &mut self,
        dir: Rc<OwnedFd>,
        name: CString,
        path: PathBuf,
    ) -> Result<Option<Entry>, KernelError> {
        let is_mounted = self.mounts == Mounts::Skipped && is_mount_root(&dir, &name)?;
        let stat = rustix::fs::statat(&*dir, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(KernelError::call_on("look at", &path.display()))?;
        let entry = Entry {
            dir,
            name,
            path,
            stat,
        };
        let is_dir = entry.kind() == EntryKind::Directory;
        if is_mounted {
            return Ok(is_dir.then_some(entry));
        }
        if is_dir {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&*entry.dir, &entry.name, flags, Mode::empty())
                .map_err(KernelError::call_on("open", &entry.path.display()))?;
            self.pending.push(Level::read(fd, entry.path.clone())?);
        }
        Ok(Some(entry))
    }
}

/// Whether something is mounted under a name. Kernels before Linux 5.8 do not say so, and nothing is.
fn is_mount_root(dir: &OwnedFd, name: &CString) -> Result<bool, KernelError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let known = rustix::fs::statx(dir, name, flags, StatxFlags::empty())
        .map_err(KernelError::call_on("look at", &name.to_string_lossy()))?;
    Ok(known.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

impl Iterator for Walk {
    type Item = Result<Entry, KernelError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let level = self.pending.last_mut()?;
            if let Some(name) = level.names.next() {
                let path = level.path.join(OsStr::from_bytes(name.as_bytes()));
                let dir = Rc::clone(&level.fd);
                match self.visit(dir, name, path).transpose() {
                    Some(visited) => return Some(visited),
                    None => continue,
                }
            }
            self.pending.pop();
        }
    }
}
