//! What builds know: which step on which files has made which layers, and who is building now.
//!
//! ```text
//! <state>/images/
//! ├── steps/<key>                  the layers that a step has made; kept until the build cache is pruned
//! └── leases/build-<name>          layers that a running build needs; locked by it
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::images::Lease;
use super::images::chain_ids;
use super::index::{Named, Nameless, key};
use super::manifest::{self, Descriptor};
use super::{ImageError, Store};
use crate::runtime::store::{self, Durability};
use crate::value::{Digest, ImageRef, RegistryRef};

/// What the name of a build's lease begins with.
pub(super) const BUILD_LEASE: &str = "build-";

/// What a step has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// All layers after the step, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// When it was done, RFC 3339.
    pub created: String,
    /// What was done, for people.
    pub text: String,
}

/// A running build's claim on layers; ends when dropped, or when the process dies.
#[derive(Debug)]
pub struct BuildLease {
    path: PathBuf,
    _file: File,
}

impl Drop for BuildLease {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

impl Store {
    /// Keeps layers from being pruned as long as the result lives.
    pub fn lease_layers(&self, diff_ids: &[Digest], name: &str) -> Result<BuildLease, ImageError> {
        let _keep = self.keep()?;
        let leases = self.content.root().join("leases");
        let path = leases.join(format!("{BUILD_LEASE}{name}"));
        let new = leases.join(format!(".new-{BUILD_LEASE}{name}"));
        let lease = Lease {
            image: String::new(),
            config: Digest::sha256_of(name.as_bytes()),
            chains: chain_ids(diff_ids)
                .iter()
                .map(|chain| chain.hex().to_owned())
                .collect(),
        };
        let take = || {
            let mut file = File::create(&new)?;
            store::lock_file(&file, FlockOperation::LockExclusive)?;
            file.write_all(&serde_json::to_vec(&lease)?)?;
            fs::rename(&new, &path)?;
            Ok(file)
        };
        let file = take().map_err(|error: io::Error| ImageError::write(&path, error))?;
        Ok(BuildLease { path, _file: file })
    }

    /// Says whether a build of this name runs.
    pub fn is_leased(&self, name: &str) -> bool {
        let leases = self.content.root().join("leases");
        store::FileLock::is_held(&leases.join(format!("{BUILD_LEASE}{name}")))
    }

    /// Returns what a step has made before, if all of it is still here.
    pub fn step(&self, key: &Digest) -> Result<Option<StepRecord>, ImageError> {
        // A record that cannot be read is as good as none: the step is done again.
        let record: Option<StepRecord> = store::read_json(&self.step_path(key)).unwrap_or(None);
        Ok(record.filter(|record| self.has_layers(&record.diff_ids)))
    }

    /// Remembers what a step has made.
    pub fn remember_step(&self, key: &Digest, record: &StepRecord) -> Result<(), ImageError> {
        let path = self.step_path(key);
        store::make_dir(path.parent().unwrap_or(Path::new("/")))?;
        store::write_json(&path, record, Durability::Cached).map_err(ImageError::from_store)
    }

    /// Forgets all steps; what only they needed goes with the next [`Store::prune`].
    pub fn forget_steps(&self) -> Result<u64, ImageError> {
        let dir = self.content.root().join("steps");
        let names = store::names_in(&dir)?;
        for name in &names {
            store::remove_tree(&dir.join(name))?;
        }
        Ok(names.len() as u64)
    }

    /// Removes the caches of `RUN --mount=type=cache` that no build uses now; returns how many bytes they had.
    pub fn remove_caches(&self) -> Result<u64, ImageError> {
        let dir = self.content.root().join("caches");
        let mut bytes = 0;
        for name in store::names_in(&dir)? {
            let path = dir.join(name);
            let lock = File::open(&path).map_err(|error| ImageError::read(&path, error))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                bytes += size_of_tree(&path).map_err(|error| ImageError::read(&path, error))?;
                store::remove_tree(&path)?;
            }
        }
        Ok(bytes)
    }

    /// Returns the layers of all remembered steps.
    pub(super) fn remembered(&self) -> Result<Vec<StepRecord>, ImageError> {
        let dir = self.content.root().join("steps");
        let names = store::names_in(&dir)?;
        let records = names
            .into_iter()
            .filter_map(|name| store::read_json(&dir.join(name)).ok().flatten());
        Ok(records.collect())
    }

    fn step_path(&self, key: &Digest) -> PathBuf {
        self.content.root().join("steps").join(key.hex())
    }

    /// Keeps an image whose layers are all here, under names or without any; returns its id.
    ///
    /// `config` is its configuration, which lists the same layers.
    pub fn put_image(
        &self,
        config: Vec<u8>,
        diff_ids: &[Digest],
        names: &[RegistryRef],
    ) -> Result<Digest, ImageError> {
        let _keep = self.keep()?;
        let mut blobs: Vec<Descriptor> = Vec::new();
        let mut size_bytes = 0;
        for chain in chain_ids(diff_ids) {
            let record = self.layers.record(&chain)?;
            let record = record.ok_or_else(|| ImageError::NoSuchImage {
                text: format!("layer {chain}"),
            })?;
            size_bytes += record.size_bytes;
            blobs.push(record.blob);
        }
        let config = (Digest::sha256_of(&config), config);
        let (manifest, bytes) = manifest::write(&config, blobs.iter());
        self.content.put(&config.0, &config.1)?;
        self.content.put(&manifest.digest, &bytes)?;
        for name in names {
            self.index.set(&Named {
                key: key(&ImageRef::Registry(name.clone())).unwrap_or_default(),
                manifest: manifest.clone(),
                repo_digest: None,
                stamp: None,
                size_bytes,
            })?;
        }
        if names.is_empty() {
            self.index.keep(&Nameless {
                manifest,
                former_name: None,
                size_bytes,
            })?;
        }
        Ok(config.0)
    }
}

/// Returns how many bytes the files of a folder have; links are not followed.
fn size_of_tree(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}
