//! A directory of this machine as a root filesystem: a copy-on-write view of it.
//!
//! The kernel refuses an overlay in a user namespace over a directory with other mounts below it, and
//! an overlay never shows those mounts anyway. There the view is put together from one overlay for
//! each directory that has no mounts below; directories above those become plain ones.
//!
//! `/proc`, `/sys`, `/dev`, `/run`, `/tmp` and `/var/tmp` of the machine are never shown: a container
//! gets its own.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::skeleton;
use super::{
    Part, Snapshot, Writable, assemble, kernel, make_like, mount_overlay, overlay, take_owner,
};
use crate::runtime::image::ImageError;
use crate::runtime::image::layer::Privilege;
use crate::runtime::kernel::mount::{self, Depth};
use crate::runtime::store;

/// Directories of the machine's root that a container has its own of, with their modes.
const FRESH: [(&str, u32); 6] = [
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
];
/// Filesystems in which the kernel tells of itself: they cannot be part of an overlay, and what they say
/// of the machine is nobody else's business. A container finds empty directories in their places.
const KERNELS_OWN: [&[u8]; 16] = [
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"fusectl",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"rpc_pipefs",
    b"sysfs",
    b"tracefs",
];
/// Why a directory of the machine cannot be hidden.
const NO_MARKS: &str = "keep marks on files (extended attributes) in the state directory, whose filesystem knows none: \
                        let `CONSORT_STATE_DIR` name a directory on a disk";
/// How deep directories with mounts below are taken apart.
const DEPTH_LIMIT: usize = 8;
/// The largest file beside a mount that is copied.
const FILE_LIMIT_BYTES: u64 = 64 << 20;

/// Says how the view is put together, and makes the directories for it.
pub(super) fn prepare(
    dir: &Path,
    writable: &Writable<'_>,
    privilege: Privilege,
) -> Result<Snapshot, ImageError> {
    let host = fs::canonicalize(dir).map_err(|error| ImageError::read(dir, error))?;
    let mounts = mounts_below(&host)?;
    let matters = |path: &PathBuf| !is_fresh(&host, path);
    if mounts.keys().any(matters) || (privilege == Privilege::Limited && !mounts.is_empty()) {
        return Builder::new(&host, &mounts, writable, privilege)?.build();
    }
    make_like(writable.upper, &host)?;
    if host == Path::new("/") {
        for (name, mode) in FRESH {
            hide(
                writable.upper,
                &host,
                Path::new(name),
                Some(mode),
                privilege,
            )?;
        }
    }
    if let Ok(below) = canonical(writable.state).strip_prefix(&host) {
        hide(writable.upper, &host, below, None, privilege)?;
    }
    Ok(overlay(vec![host], writable))
}

fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn is_fresh(host: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(host).unwrap_or(path);
    host == Path::new("/") && FRESH.iter().any(|(name, _)| below.starts_with(name))
}

/// Makes an empty directory in an upper layer that hides what the host has there.
///
/// Directories on the way look like the host's and show what is in those.
fn hide(
    upper: &Path,
    host: &Path,
    below: &Path,
    mode: Option<u32>,
    privilege: Privilege,
) -> Result<(), ImageError> {
    let mut path = PathBuf::new();
    for part in below {
        path.push(part);
        if !host.join(&path).is_dir() {
            return Ok(());
        }
        make_like(&upper.join(&path), &host.join(&path))?;
    }
    let hidden = upper.join(&path);
    let fail = |error: io::Error| ImageError::write(&hidden, error);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(&hidden, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
    let attribute = privilege.opaque_attribute();
    match rustix::fs::fsetxattr(&dir, attribute, b"y", XattrFlags::empty()) {
        Ok(()) => {}
        Err(errno @ Errno::OPNOTSUPP) => return Err(assemble(NO_MARKS)(errno.into())),
        Err(errno) => return Err(fail(errno.into())),
    }
    match mode {
        Some(mode) => fs::set_permissions(&hidden, fs::Permissions::from_mode(mode)).map_err(fail),
        None => Ok(()),
    }
}

/// What is mounted somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Files,
    /// One of [`KERNELS_OWN`].
    Kernel,
}

/// Returns all mount points below a directory of this mount namespace, with what is on top of each.
fn mounts_below(host: &Path) -> Result<BTreeMap<PathBuf, Content>, ImageError> {
    let table = Path::new("/proc/self/mountinfo");
    let bytes = fs::read(table).map_err(|error| ImageError::read(table, error))?;
    let points = bytes.split(|&byte| byte == b'\n').filter_map(mount_point);
    Ok(points
        .filter(|(point, _)| point != host && point.starts_with(host))
        .collect())
}

/// Reads one line of the mount table.
fn mount_point(line: &[u8]) -> Option<(PathBuf, Content)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let point = PathBuf::from(unescape(fields.nth(4)?));
    // Optional fields end with a dash; the kind of filesystem is next.
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let content = if KERNELS_OWN.contains(&kind) {
        Content::Kernel
    } else {
        Content::Files
    };
    Some((point, content))
}

/// Reads the octal escapes that stand for blanks and the like.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let (b'\\', Some(code)) = (first, code) {
            bytes.push(code);
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    OsString::from_vec(bytes)
}

/// A view of several parts while it is being planned.
struct Builder<'a> {
    host: &'a Path,
    mounts: &'a BTreeMap<PathBuf, Content>,
    privilege: Privilege,
    skeleton: PathBuf,
    uppers: PathBuf,
    works: PathBuf,
    state: PathBuf,
    /// Directories like the host's, but ours; see [`skeleton`].
    ours: Option<PathBuf>,
    parts: Vec<Part>,
}

impl<'a> Builder<'a> {
    fn new(
        host: &'a Path,
        mounts: &'a BTreeMap<PathBuf, Content>,
        writable: &Writable<'_>,
        privilege: Privilege,
    ) -> Result<Self, ImageError> {
        let uppers = writable.upper.join("parts");
        store::make_dir(&uppers)?;
        let skeleton = writable.upper.join("root");
        make_like(&skeleton, host)?;
        let ours = match privilege {
            Privilege::Full => None,
            Privilege::Limited => Some(skeleton::make(host, writable.state)?),
        };
        Ok(Self {
            host,
            mounts,
            privilege,
            skeleton,
            uppers,
            works: writable.work.to_owned(),
            state: canonical(writable.state),
            ours,
            parts: Vec::new(),
        })
    }

    fn build(mut self) -> Result<Snapshot, ImageError> {
        self.scan(Path::new(""), 0)?;
        Ok(Snapshot::Parts {
            skeleton: self.skeleton,
            parts: self.parts,
        })
    }

    /// Takes one directory of the host apart.
    fn scan(&mut self, below: &Path, depth: usize) -> Result<(), ImageError> {
        let host = self.host.join(below);
        let fail = |error| ImageError::read(&host, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&host).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort();
        for name in names {
            let below = below.join(&name);
            let path = self.host.join(&below);
            // What vanishes meanwhile was not there.
            if let Ok(metadata) = fs::symlink_metadata(&path) {
                self.place(&below, &path, &metadata, depth)?;
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        below: &Path,
        path: &Path,
        metadata: &fs::Metadata,
        depth: usize,
    ) -> Result<(), ImageError> {
        let target = self.skeleton.join(below);
        let fail = |error| ImageError::write(&target, error);
        if metadata.is_symlink() {
            let text = fs::read_link(path).map_err(|error| ImageError::read(path, error))?;
            return match std::os::unix::fs::symlink(text, &target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other.map_err(fail),
            };
        }
        let is_kernels = self.mounts.get(path) == Some(&Content::Kernel);
        if metadata.is_file() && !is_kernels {
            return copy_file(path, metadata, &target);
        }
        if !metadata.is_dir() {
            return Ok(());
        }
        if let Some((_, mode)) = self.fresh().find(|(name, _)| below == Path::new(name)) {
            return make_dir(&target, *mode);
        }
        make_like(&target, path)?;
        if path == self.state || is_kernels || !is_readable(path) {
            return Ok(());
        }
        let has_mounts = self
            .mounts
            .keys()
            .any(|point| point != path && point.starts_with(path));
        if !has_mounts {
            return self.part(below, path);
        }
        if depth < DEPTH_LIMIT {
            return self.scan(below, depth + 1);
        }
        Ok(())
    }

    fn part(&mut self, below: &Path, path: &Path) -> Result<(), ImageError> {
        let name = flat_name(below);
        let upper = self.uppers.join(&name);
        let work = self.works.join(&name);
        make_like(&upper, path)?;
        store::make_dir(&work)?;
        let state_inside = self.state.strip_prefix(path).ok();
        if let Some(inside) = state_inside {
            hide(&upper, path, inside, None, self.privilege)?;
        }
        for (name, mode) in self.fresh() {
            if let Ok(inside) = Path::new(name).strip_prefix(below) {
                hide(&upper, path, inside, Some(*mode), self.privilege)?;
            }
        }
        let ours = self.ours.as_ref().map(|ours| ours.join(below));
        // The kernel refuses a layer that lies within another one (`ELOOP`), and ours lies in the state.
        let ours = ours.filter(|ours| state_inside.is_none() && ours.is_dir());
        let mut lowers: Vec<PathBuf> = ours.into_iter().collect();
        lowers.push(path.to_owned());
        self.parts.push(Part {
            path: below.to_owned(),
            lowers,
            upper,
            work,
        });
        Ok(())
    }

    /// Returns what a container has its own of, if this is the machine's root.
    fn fresh(&self) -> impl Iterator<Item = &'static (&'static str, u32)> + use<> {
        let is_root = self.host == Path::new("/");
        FRESH.iter().filter(move |_| is_root)
    }
}

pub(super) fn is_readable(path: &Path) -> bool {
    rustix::fs::access(
        path,
        rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK,
    )
    .is_ok()
}

fn make_dir(target: &Path, mode: u32) -> Result<(), ImageError> {
    let made = fs::DirBuilder::new().create(target);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(ImageError::write(target, error)),
        Ok(()) => fs::set_permissions(target, fs::Permissions::from_mode(mode))
            .map_err(|error| ImageError::write(target, error)),
    }
}

/// Copies a file that lies beside a mount point: there is no overlay it could be part of.
fn copy_file(path: &Path, metadata: &fs::Metadata, target: &Path) -> Result<(), ImageError> {
    let is_there = fs::symlink_metadata(target).is_ok();
    if is_there || metadata.len() > FILE_LIMIT_BYTES {
        return Ok(());
    }
    match fs::copy(path, target) {
        Ok(_) => {
            take_owner(target, metadata);
            Ok(())
        }
        // Not ours to read: then it is not there for the container either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(ImageError::write(target, error)),
    }
}

/// Returns a path as one name, a different one for each path.
fn flat_name(below: &Path) -> OsString {
    let mut name = Vec::new();
    for &byte in below.as_os_str().as_bytes() {
        match byte {
            b'/' => name.extend_from_slice(b"+s"),
            b'+' => name.extend_from_slice(b"+p"),
            byte => name.push(byte),
        }
    }
    OsString::from_vec(name)
}

/// Mounts all parts on the skeleton and returns a detached copy of the whole.
pub(super) fn mount(skeleton: &Path, parts: &[Part]) -> Result<OwnedFd, ImageError> {
    let act = "mount its parts";
    let fail = |errno: Errno| assemble(act)(errno.into());
    let path = CString::new(skeleton.as_os_str().as_bytes());
    let path = path.map_err(|_| assemble(act)(io::ErrorKind::InvalidInput.into()))?;
    let base = mount::clone_path(&path, Depth::One).map_err(fail)?;
    mount::attach(&base, open_path(skeleton)?).map_err(fail)?;
    let mounted = parts.iter().try_for_each(|part| {
        let overlay = mount_overlay(&part.lowers, &part.upper, &part.work);
        let overlay = overlay.map_err(kernel("mount an overlay"))?;
        mount::attach(&overlay, open_path(&skeleton.join(&part.path))?).map_err(fail)
    });
    let whole = mounted.and_then(|()| mount::clone_tree(&base, c"", Depth::Tree).map_err(fail));
    // The table of this namespace is left as it was; the copy holds what it needs.
    mount::detach(&path).map_err(fail)?;
    whole
}

/// Opens a directory of ours as a place to mount on.
fn open_path(path: &Path) -> Result<OwnedFd, ImageError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map_err(|errno| ImageError::read(path, errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_the_mount_table_are_read() {
        assert_eq!(unescape(br"/a\040b\134c"), "/a b\\c");
        assert_eq!(unescape(br"/plain\"), "/plain\\");
    }

    #[test]
    fn the_mount_table_says_what_is_mounted_where() {
        let line = b"25 1 0:23 / /srv/a\\040b rw,nosuid shared:7 master:2 - proc none rw";
        let expected = ("/srv/a b".into(), Content::Kernel);
        assert_eq!(mount_point(line), Some(expected));
        let line = b"25 1 0:23 / /data rw - ext4 /dev/vda rw";
        assert_eq!(mount_point(line), Some(("/data".into(), Content::Files)));
        assert_eq!(mount_point(b""), None);
    }

    #[test]
    fn different_paths_have_different_flat_names() {
        assert_ne!(flat_name(Path::new("a/b")), flat_name(Path::new("a+b")));
        assert_ne!(flat_name(Path::new("a/+b")), flat_name(Path::new("a+/b")));
    }
}
