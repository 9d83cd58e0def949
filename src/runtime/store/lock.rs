//! Locks between processes: an `flock` on a file that also says who holds it.
//!
//! **Invariant:** the kernel frees the lock when its holder dies; the text in the file is for people.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::claim::{is_same_file, lock_file, names_in};
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

/// How whoever held a lock before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// It gave the lock back.
    GaveBack,
    /// It was killed, or nobody has held the lock since the file was made: the machine may have stopped at any point.
    Unknown,
}

/// What the file of a lock that was given back begins with; the turn of its last holder follows.
const GIVEN_BACK: &str = "free";

/// What the file of a held lock says.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    pid: u32,
    command: String,
    /// How often the lock was taken, this time included.
    #[serde(default)]
    turn: u64,
}

/// A held lock; freed when dropped or when the process dies.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    predecessor: Predecessor,
    turn: u64,
}

impl Drop for FileLock {
    /// Takes the name away before the lock is free, so that nobody takes it for the next holder's.
    fn drop(&mut self) {
        // A file that cannot be written to says nothing of its last holder, which is true as well.
        let text = format!("{GIVEN_BACK} {}\n", self.turn);
        drop(overwrite(&mut self.file, text.as_bytes()));
    }
}

impl FileLock {
    /// Takes the lock at `path`; `on_wait` is told once who holds it, if it has to wait.
    pub fn acquire(
        path: &Path,
        holder: &LockHolder,
        contention: Contention,
        on_wait: &dyn Fn(&LockHolder),
    ) -> Result<Self, StoreError> {
        loop {
            if let Some(lock) = Self::take(path, holder, contention, on_wait)? {
                return Ok(lock);
            }
        }
    }

    /// As [`acquire`](Self::acquire); `None` if the file was taken away meanwhile by [`retire`].
    fn take(
        path: &Path,
        holder: &LockHolder,
        contention: Contention,
        on_wait: &dyn Fn(&LockHolder),
    ) -> Result<Option<Self>, StoreError> {
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
        let mut file = match options.open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        if let Some(other) = take_or_name(&mut file).map_err(failed)? {
            if contention == Contention::Fail {
                return Err(StoreError::Held {
                    path: path.to_owned(),
                    holder: other,
                });
            }
            on_wait(&other);
            wait_for(&file).map_err(failed)?;
        }
        if !is_same_file(&file, path).map_err(failed)? {
            return Ok(None);
        }
        let (predecessor, last_turn) = read_predecessor(&mut file).map_err(failed)?;
        let turn = last_turn.saturating_add(1);
        write_holder(&mut file, holder, turn).map_err(failed)?;
        Ok(Some(Self {
            file,
            path: path.to_owned(),
            predecessor,
            turn,
        }))
    }

    /// Reports whether some process holds the lock at `path`.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = OpenOptions::new().read(true).open(path) else {
            return false;
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => false,
            Err(error) => error == Errno::WOULDBLOCK,
        }
    }

    /// Returns how whoever held the lock before ended.
    pub fn predecessor(&self) -> Predecessor {
        self.predecessor
    }

    /// Returns how often the lock was taken, this time included.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Returns the file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes a run directory away in which nothing is left but locks that nobody holds, and `held`, which the
/// caller holds. Who waits for one of them makes the directory again.
pub fn retire(run_dir: &Path, held: &FileLock) {
    let is_gone =
        |path: &Path| !matches!(rustix::fs::rmdir(path), Err(error) if error != Errno::NOENT);
    // A container, or the names of one, keeps its directory from being removed, and ours with it.
    if !is_gone(&run_dir.join("containers")) {
        return;
    }
    let names = run_dir.join("names");
    let networks = names_in(&names).unwrap_or_default();
    if !networks.iter().all(|network| is_gone(&names.join(network))) || !is_gone(&names) {
        return;
    }
    let dir = run_dir.join("locks");
    let mut others = Vec::new();
    for path in names_in(&dir)
        .unwrap_or_default()
        .iter()
        .map(|name| dir.join(name))
    {
        let Ok(file) = File::open(&path) else {
            return;
        };
        if path != held.path {
            if lock_file(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return;
            }
            others.push((file, path));
        }
    }
    let others = others.iter().map(|(_, path)| &**path);
    for path in others.chain([&*held.path]) {
        if std::fs::remove_file(path).is_err() {
            return;
        }
    }
    let _empty = is_gone(&dir) && is_gone(run_dir);
}

fn wait_for(file: &File) -> std::io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How often, and how long apart, a holder is looked for that has the lock and has not said its name yet.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Takes the lock, or says who has it.
///
/// A holder writes its name just after it took the lock. Until then the file is empty, or names a
/// process that was killed.
#[expect(
    clippy::disallowed_methods,
    reason = "that a holder is about to write its name is no event; this is over in microseconds"
)]
fn take_or_name(file: &mut File) -> std::io::Result<Option<LockHolder>> {
    for _ in 0..LOOKS {
        match flock(&*file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(None),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(holder) = read_holder(file).filter(is_alive) {
            return Ok(Some(holder));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(Some(LockHolder {
        pid: 0,
        command: "unknown".to_owned(),
    }))
}

fn read_holder(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn is_alive(holder: &LockHolder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Says how the last holder ended, and which turn it had.
fn read_predecessor(file: &mut File) -> std::io::Result<(Predecessor, u64)> {
    let mut bytes = Vec::new();
    file.rewind()?;
    let _count = file.take(4096).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    if let Some(rest) = text.strip_prefix(GIVEN_BACK) {
        let turn = rest.trim().parse();
        return Ok((Predecessor::GaveBack, turn.unwrap_or_default()));
    }
    let held: Option<Held> = serde_json::from_slice(&bytes).ok();
    let turn = held.map_or(0, |held| held.turn);
    Ok((Predecessor::Unknown, turn))
}

fn write_holder(file: &mut File, holder: &LockHolder, turn: u64) -> std::io::Result<()> {
    let held = Held {
        pid: holder.pid,
        command: holder.command.clone(),
        turn,
    };
    overwrite(file, &serde_json::to_vec(&held)?)
}

fn overwrite(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)
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
    #[test]
    fn who_has_taken_the_lock_and_not_said_so_yet_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.lock");
        // What a killed holder leaves: a name that is nobody's.
        let gone = LockHolder {
            pid: i32::MAX as u32,
            command: "consort up".to_owned(),
        };
        std::fs::write(&path, serde_json::to_vec(&gone).unwrap()).unwrap();
        let mut next = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        flock(&next, FlockOperation::LockExclusive).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let third = std::thread::spawn({
            let path = path.clone();
            move || {
                tell.send(()).unwrap();
                FileLock::acquire(&path, &me("consort ps"), Contention::Fail, &|_| {})
            }
        });
        told.recv().unwrap();
        write_holder(&mut next, &me("consort stop"), 1).unwrap();
        let error = third.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("consort stop"), "{error}");
    }

    #[test]
    fn a_lock_that_was_given_back_names_nobody_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.lock");
        let take =
            || FileLock::acquire(&path, &me("consort up"), Contention::Fail, &|_| {}).unwrap();
        assert_eq!(take().predecessor(), Predecessor::Unknown, "a new file");
        let mut file = File::open(&path).unwrap();
        assert_eq!(read_holder(&mut file), None);
        assert_eq!(take().predecessor(), Predecessor::GaveBack);
        // As a killed holder leaves it.
        std::fs::write(&path, serde_json::to_vec(&me("consort up")).unwrap()).unwrap();
        assert_eq!(
            take().predecessor(),
            Predecessor::Unknown,
            "a killed holder"
        );
        assert_eq!(take().predecessor(), Predecessor::GaveBack);
    }
}
