//! A new volume's first content: what the image has where the volume is mounted.
//!
//! A volume is seeded once. A marker beside its data says how far that is: `begun` means that no
//! container was started with it yet, so what is there is a half-made copy and is made again; `done`
//! means that the data are the user's, whatever they are.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::VolumeError;
use crate::runtime::kernel::rooted::{EntryKind, Root};
use crate::runtime::kernel::{KernelError, failpoint};
use crate::runtime::store::{self, Durability};

const MARKER: &str = "seeded";
const BEGUN: &[u8] = b"begun\n";
const DONE: &[u8] = b"done\n";

/// Whether a volume got something from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeded {
    /// It did, just now.
    Now,
    /// It is the user's already, or the image has nothing there.
    Not,
}

/// Fills `data` from `path` of the image, if the volume in `folder` was never used.
pub(super) fn seed(
    name: &str,
    folder: &Path,
    data: &Root,
    (image, path): (&Root, &Path),
) -> Result<Seeded, VolumeError> {
    let _lock = lock(folder)?;
    let marker = folder.join(MARKER);
    let state = match store::read_bounded(&marker, 64) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let failed = |source| VolumeError::Seed {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    };
    match state.as_deref() {
        Some(BEGUN) => clear(data).map_err(failed)?,
        Some(_) => return Ok(Seeded::Not),
        None if !is_empty(data).map_err(failed)? => {
            store::write_atomic(&marker, DONE, Durability::Synced)?;
            return Ok(Seeded::Not);
        }
        None => {}
    }
    let source = image.find(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK);
    let Some(source) = source.map_err(failed)? else {
        store::write_atomic(&marker, DONE, Durability::Synced)?;
        return Ok(Seeded::Not);
    };
    store::write_atomic(&marker, BEGUN, Durability::Synced)?;
    let copied = copy(&Root::from_fd(source), data).and_then(|()| {
        let whole = open_dir(data, Path::new(""))?;
        rustix::fs::syncfs(whole).map_err(KernelError::call("sync the volume"))
    });
    if let Err(error) = copied {
        // The next start finds the marker and begins again; the first error is the one to tell.
        drop(clear(data));
        return Err(failed(error));
    }
    let hit = failpoint::hit("volume.seeded");
    hit.map_err(VolumeError::write(&marker))?;
    store::write_atomic(&marker, DONE, Durability::Synced)?;
    Ok(Seeded::Now)
}

/// Notes that a volume is the user's from now on.
pub(super) fn mark_used(folder: &Path) -> Result<(), VolumeError> {
    let _lock = lock(folder)?;
    let marker = folder.join(MARKER);
    match store::read_bounded(&marker, 64) {
        Ok(bytes) if bytes == DONE => Ok(()),
        _ => Ok(store::write_atomic(&marker, DONE, Durability::Synced)?),
    }
}

fn lock(folder: &Path) -> Result<File, VolumeError> {
    let open = || {
        let file = File::open(folder)?;
        store::lock_file(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    open().map_err(VolumeError::write(folder))
}

fn is_empty(data: &Root) -> Result<bool, KernelError> {
    Ok(data.walk(Path::new(""))?.next().is_none())
}

fn copy(image: &Root, data: &Root) -> Result<(), KernelError> {
    let mut dirs: Vec<(PathBuf, Timestamps)> = Vec::new();
    let mut above: Option<(PathBuf, OwnedFd)> = None;
    for entry in image.walk(Path::new(""))? {
        let entry = entry?;
        let hit = failpoint::hit("volume.seed");
        hit.map_err(|source| KernelError::Call {
            act: "copy",
            source,
        })?;
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        let dir = match above.take() {
            Some((path, dir)) if path == parent => dir,
            _ => open_dir(data, parent)?,
        };
        entry.copy_into(dir.as_fd())?;
        above = Some((parent.to_owned(), dir));
        if entry.kind() == EntryKind::Directory {
            dirs.push((entry.path.clone(), times(&entry.stat)));
        }
    }
    // Times last: copying into a directory changes its own.
    for (path, times) in dirs.iter().rev() {
        let set = rustix::fs::futimens(open_dir(data, path)?, times);
        set.map_err(KernelError::call_on("set the time of", &path.display()))?;
    }
    copy_root(image, data)
}

/// The volume's own directory becomes that of the image: owner and mode, as programs expect them.
fn copy_root(image: &Root, data: &Root) -> Result<(), KernelError> {
    let stat = rustix::fs::fstat(image).map_err(KernelError::call("look at the image"))?;
    // A mount's own descriptor is a place only; one that was opened can be acted on.
    let data = &open_dir(data, Path::new(""))?;
    let fail = KernelError::call("set the owner of the volume");
    let uid = Some(rustix::fs::Uid::from_raw(stat.st_uid));
    let gid = Some(rustix::fs::Gid::from_raw(stat.st_gid));
    match rustix::fs::fchown(data, uid, gid) {
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(errno) => return Err(fail(errno)),
    }
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    rustix::fs::fchmod(data, mode).map_err(KernelError::call("set the mode of the volume"))
}

fn open_dir(data: &Root, path: &Path) -> Result<OwnedFd, KernelError> {
    data.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Removes what an interrupted copy left; links in it are removed, not followed.
fn clear(data: &Root) -> Result<(), KernelError> {
    let mut dirs = Vec::new();
    for entry in data.walk(Path::new(""))? {
        let entry = entry?;
        if entry.kind() == EntryKind::Directory {
            dirs.push(entry.path);
        } else {
            let removed = rustix::fs::unlinkat(entry.dir(), &entry.name, AtFlags::empty());
            removed.map_err(KernelError::call_on("remove", &entry.path.display()))?;
        }
    }
    for path in dirs.iter().rev() {
        data.rmdir(path)?;
    }
    Ok(())
}
