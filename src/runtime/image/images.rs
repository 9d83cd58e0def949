//! The image store: what is here, what may go.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::ImageError;
use super::config::{self, CONFIG_LIMIT_BYTES, ConfigBlob};
use super::content::Content;
use super::index::{Index, Named, key};
use super::layers::Layers;
use super::manifest::{self, Document, MANIFEST_LIMIT_BYTES, Manifest};
use super::steps::BUILD_LEASE;
use super::{ImageConfig, ImageRecord, RootSource};
use crate::runtime::store::{self, Durability, Layout, StoreError};
use crate::value::{Digest, Hasher, ImageRef, LocalImage, Platform};

/// All images of one state directory.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) content: Content,
    pub(super) layers: Layers,
    pub(super) index: Index,
}

/// What [`Store::prune`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Unpacked layers.
    pub layers: u64,
    /// Blobs.
    pub blobs: u64,
    /// What both had on the disk.
    pub bytes: u64,
}

/// As long as it lives nothing is removed from the store.
#[derive(Debug)]
pub struct Keep {
    _file: File,
}

/// What a container needs of the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lease {
    pub(super) image: String,
    pub(super) config: Digest,
    pub(super) chains: Vec<String>,
}

impl Store {
    /// Opens the store of a state directory, and makes it where it is missing.
    pub fn open(layout: &Layout) -> Result<Self, ImageError> {
        let content = Content::open(&layout.images())?;
        let layers = Layers::open(&layout.layers(), &content)?;
        let index = Index::new(content.root(), layout.lock("images"), layout.damaged());
        Ok(Self {
            content,
            layers,
            index,
        })
    }

    /// Returns an image that is ready to run, or `None` if it, or a part of it, is not here.
    ///
    /// For a `rootfs:` directory that is the directory itself; other local forms must have been
    /// imported, and may have changed since: [`Store::import`] tells.
    pub fn find(&self, reference: &ImageRef) -> Result<Option<ImageRecord>, ImageError> {
        if let ImageRef::Local(LocalImage::Rootfs(dir)) = reference {
            return Ok(dir.is_dir().then(|| rootfs_record(reference, dir)));
        }
        let names = self.index.names()?;
        match names.iter().find(|named| named.is(reference)) {
            Some(named) => self.record(reference.clone(), named),
            None => Ok(None),
        }
    }

    /// Returns the file that says which image has which name, and why it cannot be read, if it is damaged.
    pub fn damage(&self) -> Option<(&Path, StoreError)> {
        Some((self.index.path(), self.index.damage()?))
    }

    /// Lists all images that are ready to run, by name.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        let mut records = Vec::new();
        for named in self.index.names()? {
            let Ok(reference) = named.key.parse::<ImageRef>() else {
                continue;
            };
            // One that cannot be run, for want of a sound configuration, is no reason to show none.
            records.extend(self.record(reference, &named).ok().flatten());
        }
        records.sort_by(|one, other| one.reference.cmp(&other.reference));
        Ok(records)
    }

    /// Returns when an image came here: when its configuration was written, or the folder it stands for was last changed.
    pub fn arrived(&self, record: &ImageRecord) -> Option<SystemTime> {
        let path = match &record.root {
            RootSource::Layers(_) => self.content.path(&record.id),
            RootSource::HostDir(folder) => folder.clone(),
        };
        fs::metadata(path).ok()?.modified().ok()
    }

    /// Forgets a name; what only it needed goes with the next [`Store::prune`].
    ///
    /// Refused while a container was created from it under this name.
    pub fn remove(&self, reference: &ImageRef) -> Result<bool, ImageError> {
        let Some(key) = key(reference) else {
            return Ok(false);
        };
        let leases = self.leases()?.into_iter();
        let users = leases.filter(|(_, lease)| lease.image == key);
        let containers: Vec<String> = users.map(|(container, _)| container).collect();
        if !containers.is_empty() {
            return Err(ImageError::InUse {
                reference: Box::new(reference.clone()),
                containers,
            });
        }
        self.index.unset(&key)
    }

    /// Protects what a container needs until [`Store::release`].
    ///
    /// Fails with [`ImageError::NotFound`] if part of the image is gone by now.
    pub fn lease(&self, record: &ImageRecord, container: &str) -> Result<(), ImageError> {
        let _keep = self.keep()?;
        let RootSource::Layers(trees) = &record.root else {
            return Ok(());
        };
        if !trees.iter().all(|tree| tree.is_dir()) {
            return Err(ImageError::NotFound {
                reference: Box::new(record.reference.clone()),
                asked: vec!["the image store".to_owned()],
            });
        }
        let lease = Lease {
            image: key(&record.reference).unwrap_or_default(),
            config: record.id.clone(),
            chains: trees.iter().filter_map(|tree| chain_of(tree)).collect(),
        };
        let path = self.lease_path(container);
        store::write_json(&path, &lease, Durability::Synced).map_err(ImageError::from_store)
    }

    /// Ends the protection; a container that had none is fine.
    pub fn release(&self, container: &str) -> Result<(), ImageError> {
        Ok(store::remove_tree(&self.lease_path(container))?)
    }

    /// Removes layers and blobs that no name and no container refers to; waits while something is added.
    ///
    /// `is_alive` says which containers still exist; leases of others are ended. `roots` tells what their
    /// root filesystems are assembled from, and is asked once nothing can be added any more.
    pub fn prune(
        &self,
        is_alive: &dyn Fn(&str) -> bool,
        roots: &dyn Fn() -> Vec<RootSource>,
    ) -> Result<Pruned, ImageError> {
        let alone = self.gc_lock(FlockOperation::LockExclusive)?;
        self.prune_alone(&alone, is_alive, roots)
    }

    /// Does the same unless something is being added just now: then the next prune finds it.
    pub fn prune_if_idle(
        &self,
        is_alive: &dyn Fn(&str) -> bool,
        roots: &dyn Fn() -> Vec<RootSource>,
    ) -> Result<Pruned, ImageError> {
        match self.gc_lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(alone) => self.prune_alone(&alone, is_alive, roots),
            Err(ImageError::Write { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                Ok(Pruned::default())
            }
            Err(error) => Err(error),
        }
    }

    fn prune_alone(
        &self,
        _alone: &Keep,
        is_alive: &dyn Fn(&str) -> bool,
        roots: &dyn Fn() -> Vec<RootSource>,
    ) -> Result<Pruned, ImageError> {
        // Without its index nothing tells what is needed.
        if self.index.damage().is_some() {
            return Ok(Pruned::default());
        }
        self.layers.collect()?;
        let mut used = self.used_by_names()?;
        for (container, lease) in self.leases()? {
            let is_needed = if container.starts_with(BUILD_LEASE) {
                store::FileLock::is_held(&self.lease_path(&container))
            } else {
                is_alive(&container)
            };
            if is_needed {
                used.layers.extend(lease.chains);
            } else {
                self.release(&container)?;
            }
        }
        for root in roots() {
            if let RootSource::Layers(trees) = &root {
                used.layers
                    .extend(trees.iter().filter_map(|tree| chain_of(tree)));
            }
        }
        for step in self.remembered()? {
            for chain in chain_ids(&step.diff_ids) {
                let record = self.layers.record(&chain)?;
                used.blobs.extend(record.map(|record| record.blob.digest));
                used.layers.insert(chain.hex().to_owned());
            }
        }
        let mut pruned = Pruned::default();
        for chain in self.layers.chains()? {
            if !used.layers.contains(&chain) {
                pruned.bytes += self.layers.remove(&chain)?;
                pruned.layers += 1;
            }
        }
        self.prune_blobs(&used.blobs, &mut pruned)?;
        Ok(pruned)
    }

    /// Keeps the store from being pruned, for as long as the result lives.
    pub fn keep(&self) -> Result<Keep, ImageError> {
        self.gc_lock(FlockOperation::LockShared)
    }

    fn gc_lock(&self, operation: FlockOperation) -> Result<Keep, ImageError> {
        let path = self.content.root().join("gc.lock");
        let take = || {
            let file = store::open_append(&path)?;
            store::lock_file(&file, operation)?;
            Ok(file)
        };
        let file = take().map_err(|error: io::Error| ImageError::write(&path, error))?;
        Ok(Keep { _file: file })
    }

    fn lease_path(&self, container: &str) -> PathBuf {
        self.content.root().join("leases").join(container)
    }

    fn leases(&self) -> Result<Vec<(String, Lease)>, ImageError> {
        let mut leases = Vec::new();
        for name in store::names_in(&self.content.root().join("leases"))? {
            if name.starts_with('.') {
                continue;
            }
            if let Some(lease) = store::read_json(&self.lease_path(&name))? {
                leases.push((name, lease));
            }
        }
        Ok(leases)
    }

    fn used_by_names(&self) -> Result<Used, ImageError> {
        let mut used = Used::default();
        for named in self.index.names()? {
            used.blobs.extend(named.repo_digest);
        }
        for descriptor in self.index.manifests()? {
            let Some(manifest) = self.manifest(&descriptor.digest)? else {
                continue;
            };
            let layers = manifest.layers.iter().map(|layer| layer.digest.clone());
            used.blobs.extend(layers);
            used.blobs.insert(manifest.config.digest.clone());
            used.blobs.insert(descriptor.digest);
            if let Some(blob) = self.config(&manifest.config.digest)? {
                let chains = chain_ids(&blob.diff_ids);
                used.layers
                    .extend(chains.iter().map(|chain| chain.hex().to_owned()));
            }
        }
        Ok(used)
    }

    fn prune_blobs(&self, used: &BTreeSet<Digest>, pruned: &mut Pruned) -> Result<(), ImageError> {
        for algorithm in ["sha256", "sha512"] {
            for hex in store::names_in(&self.content.root().join("blobs").join(algorithm))? {
                let digest = format!("{algorithm}:{hex}").parse::<Digest>();
                if digest.as_ref().is_ok_and(|digest| used.contains(digest)) {
                    continue;
                }
                let path = self.content.root().join("blobs").join(algorithm).join(hex);
                let size_bytes = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
                store::remove_tree(&path)?;
                pruned.blobs += 1;
                pruned.bytes += size_bytes;
            }
        }
        for name in store::names_in(&self.content.root().join("ingest"))? {
            store::remove_abandoned(&self.content.root().join("ingest").join(name))?;
        }
        Ok(())
    }

    /// Puts a record together from a name's blobs; `None` if one of them, or a layer, is not here.
    pub(super) fn record(
        &self,
        reference: ImageRef,
        named: &Named,
    ) -> Result<Option<ImageRecord>, ImageError> {
        let Some(manifest) = self.manifest(&named.manifest.digest)? else {
            return Ok(None);
        };
        let Some(blob) = self.config(&manifest.config.digest)? else {
            return Ok(None);
        };
        let chains = chain_ids(&blob.diff_ids);
        let trees: Option<Vec<PathBuf>> = chains
            .iter()
            .rev()
            .map(|chain| self.layers.tree(chain))
            .collect();
        let Some(trees) = trees else {
            return Ok(None);
        };
        Ok(Some(ImageRecord {
            reference,
            id: manifest.config.digest,
            repo_digest: named.repo_digest.clone(),
            config: blob.config,
            platform: blob.platform,
            created: blob.created,
            size_bytes: named.size_bytes,
            root: RootSource::Layers(trees),
        }))
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, ImageError> {
        let Some(bytes) = self.content.read(digest, MANIFEST_LIMIT_BYTES)? else {
            return Ok(None);
        };
        match manifest::parse(&bytes, digest, None)? {
            Document::Manifest(manifest) => Ok(Some(manifest)),
            Document::Index(_) => Ok(None),
        }
    }

    fn config(&self, digest: &Digest) -> Result<Option<ConfigBlob>, ImageError> {
        let bytes = self.content.read(digest, CONFIG_LIMIT_BYTES)?;
        bytes.map(|bytes| config::parse(&bytes, digest)).transpose()
    }
}

#[derive(Default)]
struct Used {
    layers: BTreeSet<String>,
    blobs: BTreeSet<Digest>,
}

/// Returns the id of each layer together with all below it, as the image specification defines it.
pub(super) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let chain = match chains.last() {
            None => diff_id.clone(),
            Some(below) => Digest::sha256_of(format!("{below} {diff_id}").as_bytes()),
        };
        chains.push(chain);
    }
    chains
}

/// Returns the chain that an unpacked layer's tree belongs to.
fn chain_of(tree: &Path) -> Option<String> {
    Some(tree.parent()?.file_name()?.to_str()?.to_owned())
}

fn rootfs_record(reference: &ImageRef, dir: &Path) -> ImageRecord {
    let mut id = Hasher::new(crate::value::Algorithm::Sha256);
    id.update(b"rootfs:");
    id.update(dir.as_os_str().as_encoded_bytes());
    ImageRecord {
        reference: reference.clone(),
        id: id.finish(),
        repo_digest: None,
        config: ImageConfig::default(),
        platform: Platform::host(),
        created: None,
        size_bytes: 0,
        root: RootSource::HostDir(dir.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|content| Digest::sha256_of(content));
        let chains = chain_ids(&[a.clone(), b.clone(), c.clone()]);
        assert_eq!(chains[0], a);
        let second = Digest::sha256_of(format!("{a} {b}").as_bytes());
        assert_eq!(chains[1], second);
        assert_eq!(
            chains[2],
            Digest::sha256_of(format!("{second} {c}").as_bytes())
        );
    }
}
