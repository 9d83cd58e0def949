//! Whole files, written new and renamed into place, and read back with a bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::runtime::kernel::failpoint;

/// The most that a record may have; what we write stays far below it.
const RECORD_LIMIT_BYTES: u64 = 16 << 20;
/// What most files have room in: they are read at once.
const USUAL_BYTES: usize = 8 << 10;

/// Whether a write must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The bytes and their name are on the disk when the call returns.
    Synced,
    /// The kernel may still lose them when the machine stops; a crash of ours does not.
    Cached,
}

/// Replaces `path` by `bytes` in one rename; mode 0600.
pub fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
    let new = sibling(
        path,
        &format!(".new-{}-{}", std::process::id(), next_serial()),
    );
    let failed = |source| StoreError::Write {
        path: path.to_owned(),
        source,
    };
    let written = write_new(&new, bytes, durability)
        .and_then(|()| failpoint::hit("record.rename"))
        .and_then(|()| fs::rename(&new, path));
    if let Err(source) = written {
        // The name is ours and new: nobody else can miss it, and the first error is the one to tell.
        drop(fs::remove_file(&new));
        return Err(failed(source));
    }
    if durability == Durability::Synced {
        sync_parent(path).map_err(failed)?;
    }
    Ok(())
}

fn write_new(new: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    failpoint::hit("record.write")?;
    file.write_all(bytes)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Cached => Ok(()),
    }
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Writes `value` as JSON with [`write_atomic`].
pub fn write_json<T: Serialize>(
    path: &Path,
    value: &T,
    durability: Durability,
) -> Result<(), StoreError> {
    let parse = |source| StoreError::Parse {
        path: path.to_owned(),
        source,
    };
    let mut bytes = serde_json::to_vec(value).map_err(parse)?;
    bytes.push(b'\n');
    write_atomic(path, &bytes, durability)
}

/// Whether a link that must be new was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// It was, and is there.
    Made,
    /// There is something already, which is left as it is.
    Taken,
}

/// Makes a symbolic link that must not be there yet.
pub fn link_exclusively(path: &Path, target: &Path) -> Result<Exclusive, StoreError> {
    let linked = failpoint::hit("link.make").and_then(|()| symlink(target, path));
    match linked {
        Ok(()) => Ok(Exclusive::Made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Exclusive::Taken),
        Err(source) => Err(StoreError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns where a symbolic link leads; `None` where there is none, whatever else there is.
pub fn read_link(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let is_none = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
        )
    };
    match fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if is_none(&error) => Ok(None),
        Err(source) => Err(StoreError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn next_serial() -> u32 {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// Reads a whole file of at most `limit_bytes`; a larger one is an error.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, StoreError> {
    let failed = |source| StoreError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    let _count = file
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(StoreError::TooLarge {
            path: path.to_owned(),
            limit_bytes,
        });
    }
    Ok(bytes)
}

/// Reads a JSON record; a file that is not there is `None`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let bytes = match read_bounded(path, RECORD_LIMIT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let parse = |source| StoreError::Parse {
        path: path.to_owned(),
        source,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(parse)
}

/// Opens a file that is only ever written to at its end; one that is missing is made, mode 0600.
pub fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Makes a directory and its parents, mode 0700; one that is there is fine.
pub fn make_dir(path: &Path) -> Result<(), StoreError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|source| StoreError::MakeDir {
        path: path.to_owned(),
        source,
    })
}

/// Makes a directory, mode 0700, whose subdirectories have nothing to do with each other; one that is there is fine.
///
/// Ext4 then spreads them over the disk. It would otherwise keep them together, and walk for each new file past all
/// that were removed there in the last minutes, which makes the second hundred of short-lived folders several times
/// slower than the first.
pub fn make_top_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    make_dir(path)?;
    // Only a hint: most other filesystems know no such thing.
    if let Ok(dir) = File::open(path)
        && let Ok(flags) = ioctl_getflags(&dir)
    {
        let _hinted = ioctl_setflags(&dir, flags | IFlags::TOPDIR);
    }
    Ok(())
}

/// Reports whether what is written below `dir` stays in memory (tmpfs or ramfs) and never meets a disk.
pub fn is_in_memory(dir: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let kind = rustix::fs::statfs(dir).map(|stat| stat.f_type);
    kind.is_ok_and(|kind| kind == TMPFS || kind == RAMFS)
}

/// Removes a folder of ours with all below it, or a file; what is not there is fine.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::Remove {
            path: path.to_owned(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_meets_the_old_record_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        write_json(&path, &1_u32, Durability::Synced).unwrap();
        write_json(&path, &2_u32, Durability::Cached).unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(2));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn ext4_is_told_which_directories_have_nothing_to_do_with_each_other() {
        const EXT4: i64 = 0xef53;
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("project/containers");
        make_top_dir(&top).unwrap();
        make_top_dir(&top).unwrap();
        assert!(top.is_dir());
        if rustix::fs::statfs(&top).unwrap().f_type == EXT4 {
            let flags = ioctl_getflags(File::open(&top).unwrap()).unwrap();
            assert!(flags.contains(IFlags::TOPDIR), "{flags:?}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_record_and_no_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"x", Durability::Cached).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_record_beyond_the_limit_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        write_atomic(&path, &[0; 100], Durability::Cached).unwrap();
        assert!(matches!(
            read_bounded(&path, 99),
            Err(StoreError::TooLarge { .. })
        ));
    }
}
