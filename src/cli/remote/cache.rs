//! The folders of what was fetched: found, made, and what names stood for.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::runtime::kernel::failpoint;
use crate::runtime::store::{self, Durability, StoreError};
use crate::value::Digest;

/// The kinds of folders that hold something fetched.
const KINDS: [&str; 2] = ["git", "oci"];
/// The longest identity that is remembered.
const IDENTITY_LIMIT_BYTES: u64 = 200;

/// The user's cache of projects from other machines.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns where something is, or will be; `kind` is `git` or `oci`.
    pub(super) fn place(&self, kind: &str, identity: &str) -> PathBuf {
        self.folder.join(kind).join(identity)
    }

    /// Splits a path into the folder of something fetched, and the way in it.
    pub(super) fn split(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let mut rest = path.strip_prefix(&self.folder).ok()?.components();
        let kind = name(rest.next()?)?;
        let identity = name(rest.next()?)?;
        let is_kind = KINDS.iter().any(|known| kind == OsStr::new(known));
        let root = self.folder.join(kind).join(identity);
        is_kind.then(|| (root, rest.as_path().to_owned()))
    }

    /// Fills a folder that is not there yet; whoever comes at the same time waits.
    ///
    /// `fill` gets a folder for its own use and the name of the one to make.
    pub(super) fn make<E: From<StoreError>>(
        &self,
        place: &Path,
        fill: impl FnOnce(&Path, &Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let parent = place.parent().unwrap_or(&self.folder);
        store::make_dir(parent)?;
        let lock = self.lock().map_err(|source| self.unwritable(source))?;
        if !place.exists() {
            let partial = self.folder.join("partial");
            // Left by somebody who died.
            store::remove_tree(&partial)?;
            store::make_dir(&partial)?;
            let tree = partial.join("tree");
            let filled = fill(&partial, &tree).and_then(|()| {
                publish(&tree, place, parent).map_err(|source| self.unwritable(source))?;
                Ok(())
            });
            let removed = store::remove_tree(&partial);
            filled?;
            removed?;
        }
        drop(lock);
        Ok(())
    }

    /// Remembers what a name stands for now. A cache that cannot be written is none: that is no error.
    pub(super) fn remember(&self, name: &str, identity: &str) {
        let path = self.known(name);
        if self.recall(name).as_deref() != Some(identity) {
            let made = store::make_dir(&self.folder.join("known"));
            drop(made.and_then(|()| {
                store::write_atomic(&path, identity.as_bytes(), Durability::Cached)
            }));
        }
    }

    /// Returns what a name stood for.
    pub(super) fn recall(&self, name: &str) -> Option<String> {
        let bytes = store::read_bounded(&self.known(name), IDENTITY_LIMIT_BYTES).ok()?;
        String::from_utf8(bytes).ok()
    }

    fn known(&self, name: &str) -> PathBuf {
        let hash = Digest::sha256_of(name.as_bytes());
        self.folder.join("known").join(hash.hex())
    }

    fn lock(&self) -> io::Result<File> {
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        store::lock_file(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn unwritable(&self, source: io::Error) -> StoreError {
        StoreError::Write {
            path: self.folder.clone(),
            source,
        }
    }
}

/// Lets others see a folder, once its bytes are on the disk.
fn publish(tree: &Path, place: &Path, parent: &Path) -> io::Result<()> {
    failpoint::hit("remote.sync")?;
    rustix::fs::syncfs(File::open(tree)?)?;
    failpoint::hit("remote.rename")?;
    std::fs::rename(tree, place)?;
    File::open(parent)?.sync_all()
}

fn name(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_something_fetched_is_split_after_its_folder() {
        let cache = Cache::new("/c".into());
        let split = |path: &str| {
            let (root, rest) = cache.split(Path::new(path))?;
            Some((root.to_str()?.to_owned(), rest.to_str()?.to_owned()))
        };
        let pair = |root: &str, rest: &str| Some((root.to_owned(), rest.to_owned()));
        assert_eq!(split("/c/git/1/a/b"), pair("/c/git/1", "a/b"));
        assert_eq!(split("/c/oci/1"), pair("/c/oci/1", ""));
        assert_eq!(split("/c/git/1/../x"), pair("/c/git/1", "../x"));
        for other in ["/c/git", "/c/git/../x/y", "/c/known/1", "/d/git/1/a"] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_could_not_be_filled_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("cache"));
        let place = cache.place("git", "1");
        let failed = cache.make(&place, |_, tree| {
            store::make_dir(tree)?;
            Err(StoreError::MakeDir {
                path: tree.to_owned(),
                source: io::Error::other("no"),
            })
        });
        assert!(failed.is_err() && !place.exists());
        let filled = cache.make::<StoreError>(&place, |_, tree| store::make_dir(tree));
        assert!(filled.is_ok() && place.is_dir());
        assert!(!dir.path().join("cache/partial").exists());
    }

    #[test]
    fn what_a_name_stood_for_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("cache"));
        assert_eq!(cache.recall("a/b#main"), None);
        cache.remember("a/b#main", "1");
        cache.remember("a/b#main", "2");
        assert_eq!(cache.recall("a/b#main").as_deref(), Some("2"));
    }
}
