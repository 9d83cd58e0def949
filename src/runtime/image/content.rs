//! Blobs by digest, in the folders of an OCI image layout.
//!
//! ```text
//! <state>/images/
//! ├── oci-layout                    so that other tools read it as it is
//! ├── index.json                    which name means which manifest; see `index`
//! ├── blobs/sha256/<hex>            complete and checked
//! ├── ingest/sha256-<hex>           a blob of which a part is here; locked by who fetches it
//! ├── leases/<container-id>         what a container needs, kept until it is released
//! ├── steps/, caches/               what builds know and keep; see `steps`
//! └── gc.lock                       shared: something is being added; exclusive: something is removed
//! ```
//!
//! **Invariant:** a file below `blobs` appears by one rename, after its bytes were checked and synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::ImageError;
use crate::runtime::kernel::failpoint;
use crate::runtime::store::{self, Durability};
use crate::value::{Algorithm, Digest};

/// The folder of all blobs.
#[derive(Debug, Clone)]
pub(super) struct Content {
    images: PathBuf,
}

/// A partly fetched blob that nobody else touches meanwhile.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
}

/// What is there of a blob.
#[derive(Debug)]
pub(super) enum Blob {
    /// All of it.
    Complete(File),
    /// Some of it, or nothing yet.
    Partial(Partial),
}

impl Content {
    /// Opens the layout, and makes it where it is missing.
    pub(super) fn open(images: &Path) -> Result<Self, ImageError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            store::make_dir(&images.join("blobs").join(algorithm.name()))?;
        }
        for folder in ["ingest", "leases"] {
            store::make_dir(&images.join(folder))?;
        }
        let marker = images.join("oci-layout");
        if !marker.exists() {
            let text = b"{\"imageLayoutVersion\":\"1.0.0\"}\n";
            store::write_atomic(&marker, text, Durability::Synced)?;
        }
        Ok(Self {
            images: images.to_owned(),
        })
    }

    /// Returns the folder of the layout.
    pub(super) fn root(&self) -> &Path {
        &self.images
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        let blobs = self.images.join("blobs");
        blobs.join(digest.algorithm().name()).join(digest.hex())
    }

    /// Reads a small blob and checks it; `None` if it is not here or not what it should be.
    pub(super) fn read(
        &self,
        digest: &Digest,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        match store::read_bounded(&self.path(digest), limit_bytes) {
            Ok(bytes) => Ok(digest.matches(&bytes).then_some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a small blob whose digest was checked.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ImageError> {
        let path = self.path(digest);
        failpoint::hit("image.blob.put").map_err(|error| ImageError::write(&path, error))?;
        store::write_atomic(&path, bytes, Durability::Synced).map_err(ImageError::from_store)
    }

    /// Opens a blob, or what there is of it; waits while somebody else fetches it.
    ///
    /// `name` is the digest's, or any other file name where the digest is not known yet.
    pub(super) fn claim(&self, digest: Option<&Digest>, name: &str) -> Result<Blob, ImageError> {
        let path = self.images.join("ingest").join(name);
        loop {
            if let Some(file) = digest.map(|digest| File::open(self.path(digest))) {
                match file {
                    Ok(file) => return Ok(Blob::Complete(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(ImageError::read(&path, error)),
                }
            }
            let file = claim_file(&path).map_err(|error| ImageError::write(&path, error))?;
            if let Some(file) = file {
                return Ok(Blob::Partial(Partial { file, path }));
            }
        }
    }
}

/// Locks the file at `path`; `None` if it was finished or removed while waiting.
fn claim_file(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let file = options.open(path)?;
    store::lock_file(&file, FlockOperation::LockExclusive)?;
    let is_still_there = store::is_same_file(&file, path)?;
    Ok(is_still_there.then_some(file))
}

impl Partial {
    /// Returns how much is here, of at most `limit_bytes`; more cannot be right and is thrown away.
    pub(super) fn length(&self, limit_bytes: Option<u64>) -> Result<u64, ImageError> {
        let fail = |error| ImageError::write(&self.path, error);
        let length = self.file.metadata().map_err(fail)?.len();
        // Without an announced size there is nothing to go on with.
        if limit_bytes.is_some_and(|limit| length <= limit) {
            return Ok(length);
        }
        self.restart()?;
        Ok(0)
    }

    /// Throws away what is here.
    pub(super) fn restart(&self) -> Result<(), ImageError> {
        self.file
            .set_len(0)
            .map_err(|error| ImageError::write(&self.path, error))
    }

    /// Returns the file to append to.
    pub(super) fn writer(&self) -> Result<File, ImageError> {
        self.file
            .try_clone()
            .map_err(|error| ImageError::write(&self.path, error))
    }

    /// Returns the file to read from its beginning.
    pub(super) fn reader(&self) -> Result<File, ImageError> {
        File::open(&self.path).map_err(|error| ImageError::read(&self.path, error))
    }

    /// Makes it the blob `digest`; its bytes were checked and synced.
    pub(super) fn commit(self, content: &Content, digest: &Digest) -> Result<(), ImageError> {
        let path = content.path(digest);
        let commit = || {
            failpoint::hit("image.blob.rename")?;
            std::fs::rename(&self.path, &path)
        };
        commit().map_err(|error| ImageError::write(&path, error))
    }

    /// Removes it: what is here is wrong.
    pub(super) fn discard(self) -> Result<(), ImageError> {
        Ok(store::remove_tree(&self.path)?)
    }
}
