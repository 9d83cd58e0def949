//! A root directory, and what can be found, made and removed inside it.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::target::{Target, TargetKind};
use crate::runtime::kernel::error::KernelError;

/// A directory that is `/` for everything below it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// What a name in a root stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file with bytes.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A pipe, socket or device.
    Special,
}

impl EntryKind {
    /// Returns the kind that a file's mode says.
    pub fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::Regular,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Special,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Regular => "regular file",
            Self::Symlink => "symbolic link",
            Self::Special => "pipe, socket or device",
        }
    }
}

impl Root {
    /// Takes a directory of the host, whose own path is trusted, as a root.
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(KernelError::call_on("open directory", &path.display()))?;
        Ok(Self { fd })
    }

    /// Takes an open directory, such as a detached mount, as a root.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Returns the descriptor of the root itself.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Opens what is there, never creating it.
    ///
    /// A final symbolic link is followed inside the root unless `flags` has `NOFOLLOW`.
    pub fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, KernelError> {
        open_in_root(self.fd.as_fd(), &c_path(path)?, flags, Mode::empty())
            .map_err(KernelError::call_on("open", &path.display()))
    }

    /// Opens what is there, or returns `None` if nothing is.
    pub fn find(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, KernelError> {
        match open_in_root(self.fd.as_fd(), &c_path(path)?, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(KernelError::call_on("open", &path.display())(errno)),
        }
    }

    /// Returns what is known of a file, following a final symbolic link inside the root.
    pub fn stat(&self, path: &Path) -> Result<Option<Stat>, KernelError> {
        self.stat_with(path, OFlags::PATH)
    }

    /// Returns what is known of a file or of the symbolic link itself.
    pub fn stat_link(&self, path: &Path) -> Result<Option<Stat>, KernelError> {
        self.stat_with(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn stat_with(&self, path: &Path, flags: OFlags) -> Result<Option<Stat>, KernelError> {
        let Some(fd) = self.find(path, flags)? else {
            return Ok(None);
        };
        let stat =
            rustix::fs::fstat(fd).map_err(KernelError::call_on("look at", &path.display()))?;
        Ok(Some(stat))
    }

    /// Makes a directory and those above it where missing; returns it open.
    ///
    /// Links on the way are followed inside the root; what is already there keeps its mode.
    pub fn mkdir_all(&self, path: &Path) -> Result<OwnedFd, KernelError> {
        self.ensure(path, TargetKind::Directory)
    }

    fn ensure(&self, path: &Path, kind: TargetKind) -> Result<OwnedFd, KernelError> {
        Target::new(path, kind)?
            .ensure(self.fd.as_fd())
            .map_err(KernelError::call_on("make", &path.display()))
    }

    /// Creates a symbolic link; its text is kept as it is and only ever resolved inside the root.
    pub fn symlink(&self, text: &OsStr, path: &Path) -> Result<(), KernelError> {
        let (dir, name) = self.parent(path)?;
        rustix::fs::symlinkat(text, &dir, &name)
            .map_err(KernelError::call_on("create link", &path.display()))
    }

    /// Removes one name that is not a directory.
    pub fn unlink(&self, path: &Path) -> Result<(), KernelError> {
        let (dir, name) = self.parent(path)?;
        rustix::fs::unlinkat(&dir, &name, AtFlags::empty())
            .map_err(KernelError::call_on("remove", &path.display()))
    }

    /// Removes one empty directory.
    pub fn rmdir(&self, path: &Path) -> Result<(), KernelError> {
        let (dir, name) = self.parent(path)?;
        rustix::fs::unlinkat(&dir, &name, AtFlags::REMOVEDIR)
            .map_err(KernelError::call_on("remove directory", &path.display()))
    }

    /// Returns the text of a symbolic link.
    pub fn read_link(&self, path: &Path) -> Result<CString, KernelError> {
        let link = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        rustix::fs::readlinkat(&link, c"", Vec::new())
            .map_err(KernelError::call_on("read link", &path.display()))
    }

    /// Opens the directory that holds `path`, and returns the last component as a plain name.
    ///
    /// The name is never `.`, `..` or empty, so an `*at` call with both stays in that directory.
    pub fn parent(&self, path: &Path) -> Result<(OwnedFd, CString), KernelError> {
        let name = path.file_name().ok_or_else(|| KernelError::WrongKind {
            path: path.display().to_string(),
            found: "path without a last name",
            expected: "name in a directory",
        })?;
        let above = path.parent().unwrap_or(Path::new(""));
        let dir = self.open_at(above, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok((dir, c_bytes(name.as_bytes())?))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Resolves `path` inside the directory `root` and opens it. Allocates nothing.
pub(in crate::runtime::kernel) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &std::ffi::CStr,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { c"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: something was renamed meanwhile and the kernel could not be sure. Whoever renames
    // without end only keeps us from finding his own files.
    for _ in 0..MAX_TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

const MAX_TRIES: usize = 256;

pub(super) fn c_path(path: &Path) -> Result<CString, KernelError> {
    c_bytes(path.as_os_str().as_bytes())
}

pub(super) fn c_bytes(bytes: &[u8]) -> Result<CString, KernelError> {
    CString::new(bytes).map_err(|_| KernelError::NulByte {
        text: bytes.escape_ascii().to_string(),
    })
}
