//! Owner, mode, attributes and times of what was unpacked.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::tar::Entry;

/// What this process may do to the files it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) enum Privilege {
    /// Everything: it is root of the machine.
    Full,
    /// What the ids of its user namespace, or of one user, allow.
    Limited,
}

impl Privilege {
    /// Finds out what this process is.
    pub(in crate::runtime::image) fn own() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let is_inside = crate::runtime::kernel::sys::in_user_namespace();
        if is_root && matches!(is_inside, Ok(false)) {
            return Self::Full;
        }
        Self::Limited
    }

    /// Returns the attribute that makes an overlay ignore the directories below.
    pub(in crate::runtime::image) fn opaque_attribute(self) -> &'static CStr {
        match self {
            Self::Full => c"trusted.overlay.opaque",
            Self::Limited => c"user.overlay.opaque",
        }
    }
}

/// How much could not be kept, for want of privilege.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime::image) struct Losses {
    /// Files whose owner has no id here.
    pub(in crate::runtime::image) owners: u64,
    /// Attributes that were refused.
    pub(in crate::runtime::image) attributes: u64,
    /// Devices that were left out.
    pub(in crate::runtime::image) devices: u64,
}

/// Sets everything on an open file or directory, times last.
pub(super) fn apply(
    file: BorrowedFd<'_>,
    entry: &Entry,
    privilege: Privilege,
    losses: &mut Losses,
) -> io::Result<()> {
    let owned = rustix::fs::fchown(file, uid(entry), gid(entry));
    tolerate_owner(owned, privilege, losses)?;
    // After the owner, whose change takes the set-id bits away.
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    for (name, value) in &entry.xattrs {
        if is_kept(name, value) {
            let set = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty());
            tolerate_attribute(set, losses)?;
        }
    }
    rustix::fs::futimens(file, &times(entry.mtime))?;
    Ok(())
}

/// Sets owner and times of what cannot be opened: links, pipes and devices.
pub(super) fn apply_by_name(
    (dir, name): (BorrowedFd<'_>, &CStr),
    entry: &Entry,
    privilege: Privilege,
    losses: &mut Losses,
) -> io::Result<()> {
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    let owned = rustix::fs::chownat(dir, name, uid(entry), gid(entry), no_follow);
    tolerate_owner(owned, privilege, losses)?;
    rustix::fs::utimensat(dir, name, &times(entry.mtime), no_follow)?;
    Ok(())
}

/// Returns times for `utimensat`: nothing says when a file was last read, so both are the same.
pub(super) fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape that chown takes: `None` keeps the owner"
)]
fn uid(entry: &Entry) -> Option<Uid> {
    Some(Uid::from_raw(entry.uid))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape that chown takes: `None` keeps the group"
)]
fn gid(entry: &Entry) -> Option<Gid> {
    Some(Gid::from_raw(entry.gid))
}

/// Without a range of ids there is only one owner; then all files are his.
fn tolerate_owner(
    result: Result<(), Errno>,
    privilege: Privilege,
    losses: &mut Losses,
) -> io::Result<()> {
    match result {
        Err(Errno::PERM | Errno::INVAL) if privilege == Privilege::Limited => {
            losses.owners += 1;
            Ok(())
        }
        other => Ok(other?),
    }
}

fn tolerate_attribute(result: Result<(), Errno>, losses: &mut Losses) -> io::Result<()> {
    match result {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {
            losses.attributes += 1;
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Says which attributes an image may bring: none that steers an overlay or the host's security.
pub(super) fn is_kept(name: &[u8], value: &[u8]) -> bool {
    const CAPABILITY_V2_BYTES: usize = 20;
    const CAPABILITY_V3_BYTES: usize = 24;
    match name {
        b"security.capability" => matches!(value.len(), CAPABILITY_V2_BYTES | CAPABILITY_V3_BYTES),
        b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        name => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_steer_overlays_or_security_are_dropped() {
        for name in ["user.note", "user.overlayed", "system.posix_acl_access"] {
            assert!(is_kept(name.as_bytes(), b""), "{name}");
        }
        for name in [
            "trusted.overlay.redirect",
            "trusted.overlay.opaque",
            "user.overlay.opaque",
            "user.overlay.metacopy",
            "user.overlay.whiteout",
            "user.overlay.origin",
            "trusted.x",
            "security.selinux",
            "security.ima",
            "security.capability",
            "user",
            "",
        ] {
            assert!(!is_kept(name.as_bytes(), b""), "{name}");
        }
        assert!(is_kept(b"security.capability", &[0; 20]));
    }
}
