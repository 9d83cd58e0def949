//! Unpacked layers by chain id.
//!
//! ```text
//! <state>/layers/
//! ├── <chain>/fs/                   the layer's tree; whiteouts in the form that overlays know
//! ├── <chain>/layer.json            what it was made from
//! ├── .ingest-<chain>/              being unpacked; locked by who does it
//! └── .dead-<chain>/                being removed
//! ```
//!
//! **Invariant:** `<chain>` appears by one rename, after both digests were right and all was synced.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::ImageError;
use super::content::{Blob, Content};
use super::layer::{self, Below, Compression, Expected, Losses, Outcome, Privilege, SourceReader};
use super::manifest::{Descriptor, OCI_LAYER};
use crate::runtime::kernel::failpoint;
use crate::runtime::kernel::rooted::Root;
use crate::runtime::store::{self, Durability};
use crate::value::Digest;

/// The folder of all unpacked layers.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    dir: PathBuf,
    content: Content,
    privilege: Privilege,
}

/// A layer that should be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerJob {
    pub(super) chain: Digest,
    pub(super) diff_id: Digest,
    /// The compressed bytes; an archive without digests does not name them.
    pub(super) blob: Option<Descriptor>,
    pub(super) below: Below,
}

/// What is kept about a layer beside its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) diff_id: Digest,
    pub(super) blob: Descriptor,
    pub(super) entries: u64,
    pub(super) size_bytes: u64,
    pub(super) losses: Losses,
}

/// A layer that nobody else unpacks meanwhile.
#[derive(Debug)]
pub(super) struct Claim {
    job: LayerJob,
    content: Content,
    privilege: Privilege,
    /// Locked as long as it is open.
    dir: File,
    ingest: PathBuf,
    done: PathBuf,
    blob: Blob,
    /// How much of the blob an earlier try left here.
    kept_bytes: u64,
}

/// Whether a layer needs work.
#[derive(Debug)]
pub(super) enum Prepared {
    /// It is unpacked.
    Present(LayerRecord),
    /// It is ours to unpack.
    Claimed(Box<Claim>),
}

impl Layers {
    pub(super) fn open(dir: &Path, content: &Content) -> Result<Self, ImageError> {
        store::make_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            content: content.clone(),
            privilege: Privilege::own(),
        })
    }

    /// Returns where an unpacked layer is, or will be.
    pub(super) fn folder(&self, chain: &Digest) -> PathBuf {
        self.dir.join(chain.hex())
    }

    /// Returns where a layer is made that has no digest yet.
    pub(super) fn folder_of_draft(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".ingest-draft-{name}"))
    }

    /// Returns the state directory, which no container may see.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir.parent().unwrap_or(&self.dir).to_owned()
    }

    /// Returns the tree of an unpacked layer, or `None` if it is not here.
    pub(super) fn tree(&self, chain: &Digest) -> Option<PathBuf> {
        let tree = self.folder(chain).join("fs");
        tree.is_dir().then_some(tree)
    }

    pub(super) fn record(&self, chain: &Digest) -> Result<Option<LayerRecord>, ImageError> {
        match store::read_json(&self.folder(chain).join("layer.json")) {
            Err(error) if error.is_damage() => Ok(None),
            read => Ok(read?),
        }
    }

    /// Claims a layer; waits while somebody else unpacks it.
    pub(super) fn prepare(&self, job: LayerJob) -> Result<Prepared, ImageError> {
        let done = self.folder(&job.chain);
        let ingest = self.dir.join(format!(".ingest-{}", job.chain.hex()));
        let dir = loop {
            if let Some(record) = self.record(&job.chain)? {
                return Ok(Prepared::Present(record));
            }
            if done.exists() {
                if let Some(record) = self.record_again(&job)? {
                    return Ok(Prepared::Present(record));
                }
                continue;
            }
            let claimed = claim_dir(&ingest, &done);
            if let Some(dir) = claimed.map_err(|error| ImageError::write(&ingest, error))? {
                break dir;
            }
        };
        let digest = job.blob.as_ref().map(|blob| &blob.digest);
        let named = digest.unwrap_or(&job.diff_id);
        let name = match digest {
            Some(_) => format!("{}-{}", named.algorithm().name(), named.hex()),
            None => format!("plain-{}", named.hex()),
        };
        let blob = self.content.claim(digest, &name)?;
        let kept_bytes = match &blob {
            Blob::Complete(_) => 0,
            Blob::Partial(partial) => partial.length(job.blob.as_ref().map(|blob| blob.size))?,
        };
        Ok(Prepared::Claimed(Box::new(Claim {
            job,
            content: self.content.clone(),
            privilege: self.privilege,
            dir,
            ingest,
            done,
            blob,
            kept_bytes,
        })))
    }

    /// Writes the record of a layer again whose tree is whole: both became visible by one rename.
    ///
    /// Where its blob is not known, `None`: then the layer goes, and is unpacked again.
    fn record_again(&self, job: &LayerJob) -> Result<Option<LayerRecord>, ImageError> {
        // It may have become visible a moment ago.
        if let Some(record) = self.record(&job.chain)? {
            return Ok(Some(record));
        }
        let folder = self.folder(&job.chain);
        let path = folder.join("layer.json");
        let Some(blob) = job.blob.clone() else {
            let dead = self.dir.join(format!(".dead-{}", job.chain.hex()));
            store::remove_tree(&dead)?;
            fs::rename(&folder, &dead).map_err(|error| ImageError::write(&folder, error))?;
            return Ok(None);
        };
        let record = LayerRecord {
            diff_id: job.diff_id.clone(),
            blob,
            entries: 0,
            size_bytes: 0,
            losses: Losses::default(),
        };
        store::write_json(&path, &record, Durability::Synced).map_err(ImageError::from_store)?;
        Ok(Some(record))
    }

    /// Lists the chains of all unpacked layers.
    pub(super) fn chains(&self) -> Result<Vec<String>, ImageError> {
        let names = store::names_in(&self.dir)?;
        Ok(names
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect())
    }

    /// Removes a layer that nothing refers to; returns what it had.
    pub(super) fn remove(&self, chain: &str) -> Result<u64, ImageError> {
        let folder = self.dir.join(chain);
        let record: Option<LayerRecord> =
            store::read_json(&folder.join("layer.json")).unwrap_or(None);
        let dead = self.dir.join(format!(".dead-{chain}"));
        store::remove_tree(&dead)?;
        let renamed =
            failpoint::hit("image.layer.remove").and_then(|()| fs::rename(&folder, &dead));
        renamed.map_err(|error| ImageError::write(&folder, error))?;
        store::remove_tree(&dead)?;
        Ok(record.map_or(0, |record| record.size_bytes))
    }

    /// Removes what a killed process left half-made or half-removed.
    pub(super) fn collect(&self) -> Result<(), ImageError> {
        for name in store::names_in(&self.dir)? {
            let path = self.dir.join(&name);
            if name.starts_with(".dead-") {
                store::remove_tree(&path)?;
            } else if name.starts_with(".ingest-") {
                store::remove_abandoned(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes and locks a folder; `None` if it was finished or removed while waiting.
pub(super) fn claim_dir(ingest: &Path, done: &Path) -> io::Result<Option<File>> {
    let made = fs::DirBuilder::new().mode(0o700).create(ingest);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let dir = match File::open(ingest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    store::lock_file(&dir, FlockOperation::LockExclusive)?;
    let is_ours = store::is_same_file(&dir, ingest)? && !done.exists();
    Ok(is_ours.then_some(dir))
}

impl Claim {
    /// Returns from which byte on the blob is needed, or `None` if all of it is here.
    pub(super) fn wanted_from_byte(&self) -> Option<u64> {
        match self.blob {
            Blob::Complete(_) => None,
            Blob::Partial(_) => Some(self.kept_bytes),
        }
    }

    /// Throws away what an earlier try left of the blob, for a source that starts at its beginning.
    pub(super) fn restarted(mut self: Box<Self>) -> Result<Box<Self>, ImageError> {
        if let Blob::Partial(partial) = &self.blob {
            partial.restart()?;
        }
        self.kept_bytes = 0;
        Ok(self)
    }

    /// Unpacks the layer from what is here and then from `rest`, checks it and makes it visible.
    pub(super) fn run(self, rest: SourceReader) -> Result<LayerRecord, ImageError> {
        let tree = self.empty_tree()?;
        let (source, blob_file): (SourceReader, _) = match &self.blob {
            Blob::Complete(file) => {
                let copy = file.try_clone();
                let copy = copy.map_err(|error| ImageError::read(&self.ingest, error))?;
                (Box::new(copy), None)
            }
            Blob::Partial(partial) => {
                let kept = partial.reader()?.take(self.kept_bytes);
                let source: SourceReader = Box::new(kept.chain(rest));
                (source, Some(partial.writer()?))
            }
        };
        let target = layer::Target {
            tree,
            blob_file,
            privilege: self.privilege,
            below: self.job.below,
            place: self.done.clone(),
            kept_bytes: self.kept_bytes,
        };
        let outcome = layer::unpack(source, target, &self.expected());
        match outcome {
            Ok(outcome) => self.commit(&outcome),
            Err(error) => Err(self.abandon(error)),
        }
    }

    fn expected(&self) -> Expected {
        let blob = self.job.blob.as_ref();
        Expected {
            blob: blob.map(|blob| (blob.digest.clone(), blob.size)),
            diff_id: self.job.diff_id.clone(),
        }
    }

    fn empty_tree(&self) -> Result<Root, ImageError> {
        let fail = |error| ImageError::write(&self.ingest, error);
        for name in store::names_in(&self.ingest)? {
            store::remove_tree(&self.ingest.join(name))?;
        }
        let tree = self.ingest.join("fs");
        let begin = || {
            failpoint::hit("image.layer.begin")?;
            fs::create_dir(&tree)?;
            fs::set_permissions(&tree, fs::Permissions::from_mode(0o755))
        };
        begin().map_err(fail)?;
        Root::open(&tree).map_err(|error| ImageError::read(&tree, io::Error::other(error)))
    }

    fn commit(self, outcome: &Outcome) -> Result<LayerRecord, ImageError> {
        let media_type = match outcome.compression {
            Compression::Plain => OCI_LAYER.to_owned(),
            Compression::Gzip => format!("{OCI_LAYER}+gzip"),
            Compression::Zstd => format!("{OCI_LAYER}+zstd"),
        };
        let record = LayerRecord {
            diff_id: self.job.diff_id.clone(),
            blob: Descriptor {
                media_type,
                digest: outcome.blob_digest.clone(),
                size: outcome.blob_bytes,
            },
            entries: outcome.unpacked.entries,
            size_bytes: outcome.unpacked.content_bytes,
            losses: outcome.unpacked.losses,
        };
        let path = self.ingest.join("layer.json");
        store::write_json(&path, &record, Durability::Cached).map_err(ImageError::from_store)?;
        let fail = |error| ImageError::write(&self.done, error);
        failpoint::hit("image.layer.sync").map_err(fail)?;
        // Once for the tree, the record and the blob: all are on this filesystem.
        rustix::fs::syncfs(&self.dir).map_err(|errno| fail(errno.into()))?;
        if let Blob::Partial(partial) = self.blob {
            partial.commit(&self.content, &record.blob.digest)?;
        }
        let rename = || {
            failpoint::hit("image.layer.rename")?;
            fs::rename(&self.ingest, &self.done)?;
            let parent = self.done.parent().unwrap_or(Path::new("/"));
            File::open(parent)?.sync_all()
        };
        rename().map_err(fail)?;
        Ok(record)
    }

    /// Throws the half-made tree away, and the blob too if its bytes are to blame.
    fn abandon(self, error: ImageError) -> ImageError {
        let is_wrong = matches!(
            error,
            ImageError::WrongDigest { .. }
                | ImageError::WrongSize { .. }
                | ImageError::RefuseLayer { .. }
                | ImageError::Unpack { .. }
                | ImageError::DiskFull { .. }
        );
        // The first error is the one to tell; what stays is collected by the next pull.
        drop(store::remove_tree(&self.ingest));
        if let Blob::Partial(partial) = self.blob
            && is_wrong
        {
            drop(partial.discard());
        }
        error
    }
}
