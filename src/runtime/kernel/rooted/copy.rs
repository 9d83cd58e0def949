//! Copying what a walk came by, with everything that can be kept of it: never through a link.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::walk::Entry;
use crate::runtime::kernel::error::KernelError;

/// The most bytes of the names, and of one value, of a file's attributes; Linux allows no more.
const ATTRIBUTE_LIMIT_BYTES: usize = 64 << 10;
/// How much is copied by one call.
const COPY_BYTES: usize = 1 << 30;

impl Entry {
    /// Makes a copy of this one thing under its own name in `dir`, where that name must be free.
    ///
    /// A directory is made without what is in it; a regular file shares its blocks where the
    /// filesystem can. Owner, mode, attributes and times are kept as far as this process may.
    pub fn copy_into(&self, dir: BorrowedFd<'_>) -> Result<(), KernelError> {
        self.copy_raw(dir)
            .map_err(KernelError::call_on("copy", &self.path.display()))
    }

    fn copy_raw(&self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        let kind = FileType::from_raw_mode(self.stat.st_mode);
        match kind {
            FileType::Directory => {
                rustix::fs::mkdirat(dir, &self.name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(dir, &self.name, flags, Mode::empty())?;
                self.copy_metadata(made.as_fd())
            }
            FileType::RegularFile => {
                let from = self.open_raw()?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let mode = Mode::RUSR | Mode::WUSR;
                let to = rustix::fs::openat(dir, &self.name, flags | OFlags::CLOEXEC, mode)?;
                copy_content(&from, &to)?;
                self.copy_metadata(to.as_fd())
            }
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(self.dir(), &self.name, Vec::new())?;
                rustix::fs::symlinkat(&text, dir, &self.name)?;
                set_by_name(dir, &self.name, &self.stat)
            }
            FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
                let mode = Mode::from_raw_mode(self.stat.st_mode & 0o7777);
                match rustix::fs::mknodat(dir, &self.name, kind, mode, self.stat.st_rdev) {
                    // A device is left out where it cannot be made; it could not be used either.
                    Err(Errno::PERM) => return Ok(()),
                    made => made?,
                }
                set_by_name(dir, &self.name, &self.stat)
            }
            // A socket is the end of a conversation that has no copy.
            FileType::Socket | FileType::Unknown => Ok(()),
        }
    }

    fn open_raw(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(self.dir(), &self.name, flags, Mode::empty())
    }

    /// Gives an open file or directory the owner, mode, attributes and times of this one.
    pub fn copy_metadata(&self, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let (uid, gid) = owner(&self.stat);
        tolerate(rustix::fs::fchown(to, Some(uid), Some(gid)))?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(self.stat.st_mode & 0o7777))?;
        copy_attributes(self.open_raw()?.as_fd(), to)?;
        rustix::fs::futimens(to, &times(&self.stat))
    }
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

fn set_by_name(dir: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = owner(stat);
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    tolerate(rustix::fs::chownat(
        dir,
        name,
        Some(uid),
        Some(gid),
        no_follow,
    ))?;
    rustix::fs::utimensat(dir, name, &times(stat), no_follow)
}

/// Takes it as done where this process lacks the privilege, or an id: the copy stays this process's own.
pub fn tolerate(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

/// Returns the times of a file as they are set on another one.
pub fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Copies a file's bytes, sharing blocks where the filesystem can.
pub fn copy_content(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    loop {
        match rustix::fs::copy_file_range(from, None, to, None, COPY_BYTES) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            // Between two filesystems, or on one that cannot: by way of this process.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                return copy_by_hand(from, to);
            }
            Err(errno) => return Err(errno),
        }
    }
}

fn copy_by_hand(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match rustix::io::read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match rustix::io::write(to, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Copies attributes, except those that only mean something where they were.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0; ATTRIBUTE_LIMIT_BYTES];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut value = vec![0; ATTRIBUTE_LIMIT_BYTES];
    for name in names[..length].split(|&byte| byte == 0) {
        let is_kept = name.starts_with(b"user.")
            || name == b"security.capability"
            || name.starts_with(b"system.posix_acl_");
        if !is_kept || name.starts_with(b"user.overlay.") {
            continue;
        }
        let length = match rustix::fs::fgetxattr(from, name, &mut value) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(errno) => return Err(errno),
        };
        tolerate(rustix::fs::fsetxattr(
            to,
            name,
            &value[..length],
            XattrFlags::empty(),
        ))?;
    }
    Ok(())
}
