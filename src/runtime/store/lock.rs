//! Locks between processes: an `flock` on a file that also says who holds it.
//!
//! **Invariant:** the kernel frees the lock when its holder dies; the text in the file is for people.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{StoreError, make_dir};

/// Who holds a lock: for the person who waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// What it was started as, for example `consort up -d`.
    pub command: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`)", self.pid, self.command)
    }
}

/// What to do when somebody else holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contention {
    /// Wait until it is free.
    Wait,
    /// Fail at once and say who holds it.
    Fail,
}

/// A held lock; freed when dropped or when the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock at `path`; `on_wait` is told once who holds it, if it has to wait.
    pub fn acquire(
        path: &Path,
        holder: &LockHolder,
        contention: Contention,
        on_wait: &dyn Fn(&LockHolder),
    ) -> Result<Self, StoreError> {
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
        }
        let failed = |source| StoreError::Lock {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let other = read_holder(&mut file);
            if contention == Contention::Fail {
                return Err(StoreError::Held {
                    path: path.to_owned(),
                    holder: other,
                });
            }
            on_wait(&other);
            wait_for(&file).map_err(failed)?;
        }
        write_holder(&mut file, holder).map_err(failed)?;
        Ok(Self {
            _file: file,
            path: path.to_owned(),
        })
    }

    /// Reports whether some process holds the lock at `path`.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = OpenOptions::new().read(true).open(path) else {
            return false;
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => false,
            Err(error) => error == rustix::io::Errno::WOULDBLOCK,
        }
    }

    /// Returns the file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn wait_for(file: &File) -> std::io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(()),
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_holder(file: &mut File) -> LockHolder {
    let unknown = LockHolder {
        pid: 0,
        command: "unknown".to_owned(),
    };
    let mut text = String::new();
    match file.take(4096).read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).unwrap_or(unknown),
        Err(_) => unknown,
    }
}

fn write_holder(file: &mut File, holder: &LockHolder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(command: &str) -> LockHolder {
        LockHolder {
            pid: std::process::id(),
            command: command.to_owned(),
        }
    }

    #[test]
    fn the_second_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/demo.lock");
        let held = FileLock::acquire(&path, &me("consort up"), Contention::Fail, &|_| {}).unwrap();
        assert!(FileLock::is_held(&path));
        let second = FileLock::acquire(&path, &me("consort down"), Contention::Fail, &|_| {});
        let error = second.unwrap_err().to_string();
        assert!(error.contains("consort up"), "{error}");
        drop(held);
        assert!(!FileLock::is_held(&path));
    }
}
