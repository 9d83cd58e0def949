//! A place inside a root that must exist so that something can be mounted on it.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::root::{c_bytes, c_path, open_in_root};
use crate::runtime::kernel::error::KernelError;

/// What a target is made as where it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
}

/// A path split beforehand, so that [`Target::ensure`] allocates nothing.
#[derive(Debug, Clone)]
pub struct Target {
    whole: CString,
    steps: Vec<Step>,
    kind: TargetKind,
}

#[derive(Debug, Clone)]
struct Step {
    /// From the root down to here.
    prefix: CString,
    /// The last name of the prefix.
    name: CString,
}

impl Target {
    /// Splits `path`, which is taken from the root whether or not it begins with `/`.
    pub fn new(path: &Path, kind: TargetKind) -> Result<Self, KernelError> {
        let mut prefix = PathBuf::new();
        let mut steps = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    prefix.push(name);
                    let name = c_bytes(name.as_bytes())?;
                    steps.push(Step {
                        prefix: c_path(&prefix)?,
                        name,
                    });
                }
                Component::ParentDir => {
                    return Err(KernelError::WrongKind {
                        path: path.display().to_string(),
                        found: "path with `..`",
                        expected: "plain path",
                    });
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(Self {
            whole: c_path(&prefix)?,
            steps,
            kind,
        })
    }

    /// Returns the path from the root, without a leading `/`.
    pub fn path(&self) -> &std::ffi::CStr {
        &self.whole
    }

    /// Returns what it must be.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Opens the target as it is, making nothing. Allocates nothing.
    pub fn find(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        open_in_root(root, &self.whole, self.flags(), Mode::empty())
    }

    /// Opens the target, making what is missing. Allocates nothing.
    pub fn ensure(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        match self.find(root) {
            Err(Errno::NOENT) => self.make(root),
            found => found,
        }
    }

    fn flags(&self) -> OFlags {
        match self.kind {
            TargetKind::Directory => OFlags::PATH | OFlags::DIRECTORY,
            TargetKind::File => OFlags::PATH,
        }
    }

    fn make(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let mut above: Option<OwnedFd> = None;
        let last = self.steps.len().saturating_sub(1);
        for (index, step) in self.steps.iter().enumerate() {
            let parent = above.as_ref().map_or(root, |fd| fd.as_fd());
            let next = if index == last && self.kind == TargetKind::File {
                Self::make_file(root, parent, step)?
            } else {
                Self::make_dir(root, parent, step)?
            };
            above = Some(next);
        }
        above.ok_or(Errno::INVAL)
    }

    fn make_dir(
        root: BorrowedFd<'_>,
        parent: BorrowedFd<'_>,
        step: &Step,
    ) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match open_in_root(root, &step.prefix, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        // `parent` was found inside the root and `name` is one component: this cannot leave it. A
        // link that leads nowhere makes this fail with EEXIST and the look-up after it with ENOENT.
        match rustix::fs::mkdirat(parent, &step.name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        open_in_root(root, &step.prefix, flags, Mode::empty())
    }

    fn make_file(
        root: BorrowedFd<'_>,
        parent: BorrowedFd<'_>,
        step: &Step,
    ) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        match rustix::fs::openat(
            parent,
            &step.name,
            flags | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        ) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        match open_in_root(root, &step.prefix, OFlags::PATH, Mode::empty()) {
            // A link that leads nowhere, as images have for resolv.conf: something can be mounted on
            // the link itself, and is then found in its place.
            Err(Errno::NOENT) => open_in_root(
                root,
                &step.prefix,
                OFlags::PATH | OFlags::NOFOLLOW,
                Mode::empty(),
            ),
            found => found,
        }
    }
}
