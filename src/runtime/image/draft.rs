//! A directory that a container or a build has written to, into a new layer of the store.
//!
//! ```text
//! <state>/layers/.ingest-draft-<name>/     locked by who makes the layer
//! ├── fs/                                  the upper directory of an overlay, or all there is
//! └── work/                                the kernel's scratch directory
//! ```
//!
//! The tree is packed into a compressed blob, and becomes an unpacked layer itself, by one rename. A draft
//! whose maker was killed is removed by the next command that collects.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::content::Blob;
use super::images::chain_ids;
use super::layer::{self, Below, Losses, Packed, Privilege, Times, Tree};
use super::layers::{LayerJob, LayerRecord, Prepared, claim_dir};
use super::manifest::{Descriptor, OCI_LAYER};
use super::snapshot::{self, Snapshot, Writable};
use super::{ImageError, RootSource, Store};
use crate::runtime::kernel::failpoint;
use crate::runtime::kernel::rooted::{Mounts, Root};
use crate::runtime::store::{self, Durability};
use crate::value::{Algorithm, Digest, Hasher};

/// How much is written to the blob at once.
const WRITE_BYTES: usize = 256 << 10;

/// A layer that is being made; dropped, it is thrown away.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    /// The digests of the layers below, the lowest first.
    below: Vec<Digest>,
    root: RootSource,
    state: PathBuf,
    /// Locked as long as it is open.
    _dir: File,
}

/// What a draft has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The digest of its plain tar stream.
    pub diff_id: Digest,
    /// How many entries it has; none where nothing was changed.
    pub entries: u64,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whichever command next finds it abandoned.
        drop(store::remove_tree(&self.folder));
    }
}

impl Draft {
    /// Returns a folder of the draft's own, for files that are on their way into a layer.
    pub fn scratch(&self) -> Result<PathBuf, ImageError> {
        let scratch = self.folder.join("scratch");
        store::make_dir(&scratch)?;
        Ok(scratch)
    }

    /// Mounts the layers below with the draft above them; what is written there goes into the draft.
    pub fn mount(&self) -> Result<std::os::fd::OwnedFd, ImageError> {
        self.snapshot()?.mount()
    }

    /// Says how the draft is mounted, for a container that does it itself.
    pub fn snapshot(&self) -> Result<Snapshot, ImageError> {
        let (upper, work) = (self.folder.join("fs"), self.folder.join("work"));
        let writable = Writable {
            upper: &upper,
            work: &work,
            state: &self.state,
        };
        snapshot::prepare(&self.root, &writable)
    }

    fn tree(&self) -> Tree {
        if self.below.is_empty() {
            Tree::Whole
        } else {
            Tree::Changes(Privilege::own())
        }
    }
}

impl Store {
    /// Removes what killed processes have left of drafts and of layers.
    pub fn collect_drafts(&self) -> Result<(), ImageError> {
        self.layers.collect()
    }

    /// Begins a layer above others, which are named by the digests of their plain bytes, the lowest first.
    ///
    /// `name` tells drafts of one time apart.
    pub fn draft(&self, below: &[Digest], name: &str) -> Result<Draft, ImageError> {
        let trees = self.trees(below)?;
        let folder = self.layers.folder_of_draft(name);
        let dir = claim_dir(&folder, Path::new("/nowhere/draft"));
        let dir = dir.map_err(|error| ImageError::write(&folder, error))?;
        let dir = dir.ok_or(ImageError::Interrupted)?;
        Ok(Draft {
            folder,
            below: below.to_vec(),
            root: RootSource::Layers(trees),
            state: self.layers.state_dir(),
            _dir: dir,
        })
    }

    /// Returns the trees of layers, the topmost first.
    pub fn trees(&self, diff_ids: &[Digest]) -> Result<Vec<PathBuf>, ImageError> {
        let chains = chain_ids(diff_ids);
        let trees = chains.iter().rev().map(|chain| {
            self.layers
                .tree(chain)
                .ok_or_else(|| ImageError::NoSuchImage {
                    text: format!("layer {chain}"),
                })
        });
        trees.collect()
    }

    /// Says whether all these layers are here.
    pub fn has_layers(&self, diff_ids: &[Digest]) -> bool {
        let chains = chain_ids(diff_ids);
        chains.iter().all(|chain| self.layers.tree(chain).is_some())
    }

    /// Makes a layer of a draft.
    pub fn commit(&self, draft: Draft, times: Times) -> Result<NewLayer, ImageError> {
        let fail = |error| ImageError::write(&draft.folder, error);
        if draft.folder.join("work/copied").exists() {
            return Err(ImageError::NoOverlay);
        }
        // An upper directory is made when it is first mounted.
        let _snapshot = draft.snapshot()?;
        let tree = draft.folder.join("fs");
        let (record, packed) = self.pack_changes(&tree, (&draft.below, draft.tree()), times)?;
        for name in ["work", "scratch"] {
            store::remove_tree(&draft.folder.join(name))?;
        }
        let written = store::write_json(
            &draft.folder.join("layer.json"),
            &record,
            Durability::Synced,
        );
        written.map_err(ImageError::from_store)?;
        let mut diff_ids = draft.below.clone();
        diff_ids.push(record.diff_id.clone());
        let chains = chain_ids(&diff_ids);
        let chain = chains.last().ok_or(ImageError::Interrupted)?;
        let done = self.layers.folder(chain);
        let rename = || {
            failpoint::hit("image.draft.rename")?;
            match fs::rename(&draft.folder, &done) {
                // The same layer was made before; ours is thrown away.
                Err(error) if is_taken(&error) => Ok(()),
                other => other,
            }
        };
        rename().map_err(fail)?;
        Ok(NewLayer {
            diff_id: record.diff_id,
            entries: packed.entries,
        })
    }

    /// Makes a layer of the changes that a container has made in its upper directory, above these layers.
    ///
    /// The directory stays as it is; a container that runs meanwhile should be paused.
    pub fn commit_changes(&self, upper: &Path, below: &[Digest]) -> Result<NewLayer, ImageError> {
        let tree = if below.is_empty() {
            Tree::Whole
        } else {
            Tree::Changes(Privilege::own())
        };
        let (record, packed) = self.pack_changes(upper, (below, tree), Times::Kept)?;
        let mut diff_ids = below.to_vec();
        diff_ids.push(record.diff_id.clone());
        let chain = chain_ids(&diff_ids).pop().ok_or(ImageError::Interrupted)?;
        let job = LayerJob {
            chain,
            diff_id: record.diff_id.clone(),
            blob: Some(record.blob),
            below: if below.is_empty() {
                Below::Nothing
            } else {
                Below::Layers
            },
        };
        match self.layers.prepare(job)? {
            Prepared::Present(_) => {}
            Prepared::Claimed(claim) => drop(claim.run(Box::new(io::empty()))?),
        }
        Ok(NewLayer {
            diff_id: record.diff_id,
            entries: packed.entries,
        })
    }

    fn pack_changes(
        &self,
        tree: &Path,
        (below, kind): (&[Digest], Tree),
        times: Times,
    ) -> Result<(LayerRecord, Packed), ImageError> {
        let fail = |error| ImageError::write(tree, error);
        let Blob::Partial(partial) = self.content.claim(None, &unique_name().map_err(fail)?)?
        else {
            return Err(ImageError::Interrupted);
        };
        partial.restart()?;
        let file = partial.writer()?;
        let root = Root::open(tree).map_err(|error| fail(io::Error::other(error)))?;
        let pack = layer::Packing {
            tree: kind,
            times,
            root_like: self.root_below(below)?,
            mounts: Mounts::Entered,
        };
        let compressed = Counted::new(io::BufWriter::with_capacity(WRITE_BYTES, file));
        let plain = Counted::new(GzEncoder::new(compressed, Level::fast()));
        let (plain, packed) = layer::pack(&root, &pack, plain).map_err(fail)?;
        let (diff_id, _, encoder) = plain.finish();
        let compressed = encoder.finish().map_err(fail)?;
        let (digest, size, file) = compressed.finish();
        let file = file
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        failpoint::hit("image.draft.sync").map_err(fail)?;
        // Once for the tree and the blob: both are on this filesystem.
        rustix::fs::syncfs(&file).map_err(|errno| fail(errno.into()))?;
        partial.commit(&self.content, &digest)?;
        let record = LayerRecord {
            diff_id,
            blob: Descriptor {
                media_type: format!("{OCI_LAYER}+gzip"),
                digest,
                size,
            },
            entries: packed.entries,
            size_bytes: packed.content_bytes,
            losses: Losses::default(),
        };
        Ok((record, packed))
    }

    /// Returns mode and owner of the root directory that a draft began with.
    fn root_below(&self, below: &[Digest]) -> Result<layer::RootLike, ImageError> {
        let trees = self.trees(below)?;
        let Some(top) = trees.first() else {
            return Ok(layer::RootLike::PLAIN);
        };
        let metadata = fs::metadata(top).map_err(|error| ImageError::read(top, error))?;
        Ok(layer::RootLike {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        })
    }
}

/// Returns a name for a blob whose digest is not known yet.
fn unique_name() -> io::Result<String> {
    let mut random = [0_u8; 8];
    let _count = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("draft-{hex}"))
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}

/// Hashes and counts what passes.
struct Counted<W> {
    sink: W,
    hasher: Hasher,
    count: u64,
}

impl<W: Write> Counted<W> {
    fn new(sink: W) -> Self {
        Self {
            sink,
            hasher: Hasher::new(Algorithm::Sha256),
            count: 0,
        }
    }

    fn finish(self) -> (Digest, u64, W) {
        (self.hasher.finish(), self.count, self.sink)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
