//! Projects on other machines → folders in the user's cache, and reading that never leaves them.
//!
//! ```text
//! ~/.cache/consort/remote/
//! ├── git/<commit>/           the files of a commit; appears by one rename, complete
//! ├── oci/<digest>/           the files of an artifact, likewise
//! ├── known/<hash>            what a branch, tag or name stood for when it was last asked
//! ├── partial/                what is being fetched
//! └── lock                    held by who fetches
//! ```
//!
//! **Invariant:** a path below one of these folders is looked up inside that folder, by the kernel:
//! no `..` and no symbolic link in it leads anywhere else.

mod artifact;
mod cache;
mod git;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::environment::Environment;
use crate::compose::source::{Disk, FILE_LIMIT_BYTES, FetchError, Fetched, Remote, Source};
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::{EntryKind, Root};
use cache::Cache;

/// The most projects that one command fetches.
const FETCHES_LIMIT: usize = 50;

/// The disk, and what is fetched to it.
#[derive(Debug)]
pub(super) struct Remotes {
    environment: Environment,
    cache: Cache,
    /// What this command has asked for: a branch that moves meanwhile stays where it was.
    answers: Mutex<BTreeMap<Remote, Result<Fetched, FetchError>>>,
}

impl Remotes {
    /// Prepares to fetch with the user's settings; nothing is touched yet.
    pub(super) fn new(environment: &Environment) -> Self {
        let cache = match environment.get("XDG_CACHE_HOME").map(Path::new) {
            Some(folder) if folder.is_absolute() => folder.to_owned(),
            Some(_) | None => environment.home().join(".cache"),
        };
        Self {
            environment: environment.clone(),
            cache: Cache::new(cache.join("consort/remote")),
            answers: Mutex::default(),
        }
    }

    /// Looks up a path that lies in something fetched, inside of that alone.
    fn inside<T>(
        &self,
        path: &Path,
        look: impl FnOnce(&Root, &Path) -> Result<T, KernelError>,
    ) -> Option<io::Result<T>> {
        let (root, rest) = self.cache.split(path)?;
        let found = Root::open(&root).and_then(|root| look(&root, &rest));
        Some(found.map_err(|error| match error.errno() {
            Some(errno) => errno.into(),
            None => io::Error::other(error.to_string()),
        }))
    }

    fn kind(root: &Root, path: &Path) -> Result<Option<EntryKind>, KernelError> {
        Ok(root.stat(path)?.map(|stat| EntryKind::of(&stat)))
    }
}

impl Source for Remotes {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let read = |root: &Root, path: &Path| root.read_bounded(path, FILE_LIMIT_BYTES);
        match self.inside(path, read) {
            Some(found) => found?.ok_or_else(|| io::ErrorKind::NotFound.into()),
            None => Disk.read(path),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        match self.inside(path, Self::kind) {
            Some(found) => matches!(found, Ok(Some(_))),
            None => Disk.exists(path),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        match self.inside(path, Self::kind) {
            Some(found) => matches!(found, Ok(Some(EntryKind::Directory))),
            None => Disk.is_dir(path),
        }
    }

    fn resolve_links(&self, path: &Path) -> PathBuf {
        Disk.resolve_links(path)
    }

    fn fetch(&self, remote: &Remote) -> Result<Fetched, FetchError> {
        // Held while fetching: one at a time.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(remote) {
            return known.clone();
        }
        if answers.len() >= FETCHES_LIMIT {
            return Err(FetchError {
                reason: format!("the project needs more than {FETCHES_LIMIT} others"),
                hint: None,
            });
        }
        let answer = match remote {
            Remote::Git(source) => git::fetch(source, &self.cache, &self.environment),
            Remote::Oci(name) => artifact::fetch(name, &self.cache, &self.environment),
        };
        answers.insert(remote.clone(), answer.clone());
        answer
    }
}

/// Refuses what a variable switches off, as Docker Compose does.
fn check_switch(environment: &Environment, name: &str) -> Result<(), FetchError> {
    match environment.get(name) {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(()),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Err(FetchError {
            reason: format!("`{name}` switches this off"),
            hint: Some(format!("unset `{name}`")),
        }),
        Some(other) => Err(FetchError {
            reason: format!("`{name}` is `{other}`, expected `true` or `false`"),
            hint: None,
        }),
    }
}

/// Returns an error, which reads after "cannot", with its causes on one line.
fn told(error: &dyn Error) -> FetchError {
    let mut reason = format!("cannot {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.ends_with(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    FetchError { reason, hint: None }
}

/// Returns what is said when others cannot be asked and the last answer serves.
fn last_known(error: &FetchError, what: &str) -> String {
    format!(
        "{}; what it was when last fetched is used: `{what}`",
        error.reason
    )
}
