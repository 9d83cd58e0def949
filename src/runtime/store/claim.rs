//! Folders and files that one process works on: locked while it does, rubbish when it died.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{StoreError, remove_tree};

/// Takes an `flock`, through interruptions.
pub fn lock_file(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Locks a folder for as long as what is returned lives; `None` where there is no such folder.
pub fn lock_dir(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |source| StoreError::Lock {
        path: path.to_owned(),
        source,
    };
    let dir = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    lock_file(&dir, FlockOperation::LockExclusive).map_err(failed)?;
    Ok(Some(dir))
}

/// Says whether `path` still names this open file or folder.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a folder or file that its maker keeps locked while at work, if nobody does.
pub fn remove_abandoned(path: &Path) -> Result<(), StoreError> {
    let Ok(file) = File::open(path) else {
        return Ok(());
    };
    let is_free = lock_file(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    if is_free && is_same_file(&file, path).unwrap_or(false) {
        remove_tree(path)?;
    }
    Ok(())
}

/// Returns the names in a folder, in their order; a folder that is not there has none.
pub fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Read {
        path: dir.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
