//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::store::StoreError;
use crate::value::{Digest, ImageRef, Platform};

/// A failed act on an image, a layer or a registry.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No registry that was asked has it.
    #[error("find image `{reference}`: not known to {}", asked.join(", "))]
    NotFound {
        /// The image.
        reference: Box<ImageRef>,
        /// The registries that were asked, in order.
        asked: Vec<String>,
    },
    /// A registry wants (other) credentials.
    #[error("get `{reference}` from `{registry}`: access denied")]
    Unauthorized {
        /// The image.
        reference: Box<ImageRef>,
        /// The registry.
        registry: String,
    },
    /// A registry did not answer.
    #[error("reach the registry `{registry}`{}", also_asked(others))]
    Unreachable {
        /// The registry.
        registry: String,
        /// Other places that were asked for the same and did not have it.
        others: Vec<String>,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// A registry answered with something that is no answer.
    #[error("use the answer of `{registry}` to `{path}`: {reason}")]
    BadAnswer {
        /// The registry.
        registry: String,
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Content is not what its name says.
    #[error("accept the content of `{expected}`: its digest is `{got}`")]
    WrongDigest {
        /// What it should be.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// Content has another size than announced.
    #[error("accept the content of `{digest}`: expected {expected_bytes} bytes, got {got_bytes}")]
    WrongSize {
        /// The content.
        digest: Digest,
        /// What was announced.
        expected_bytes: u64,
        /// What came, at least.
        got_bytes: u64,
    },
    /// The disk is full.
    #[error("write below `{path}`: no space left on the disk")]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// The image does not exist for this platform.
    #[error("find `{reference}` for {wanted}: it is there for {}", offered.join(", "))]
    NoPlatform {
        /// The image.
        reference: Box<ImageRef>,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        offered: Vec<String>,
    },
    /// A manifest or index is not one.
    #[error("use the manifest `{digest}`: {reason}")]
    RefuseManifest {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration is not JSON of the expected shape.
    #[error("read the image configuration `{digest}`")]
    ParseConfig {
        /// The configuration.
        digest: Digest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A configuration contains what no image should.
    #[error("use the image configuration `{digest}`: {reason}")]
    RefuseConfig {
        /// The configuration.
        digest: Digest,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A layer contains what no layer should.
    #[error("unpack layer `{digest}` at entry {entry} `{name}`: {reason}")]
    RefuseLayer {
        /// The layer's blob.
        digest: Digest,
        /// Number of the entry, from 1.
        entry: u64,
        /// Its name, or the start of it.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A layer could not be read or written.
    #[error("unpack layer `{digest}` at `{name}`")]
    Unpack {
        /// The layer's blob.
        digest: Digest,
        /// The entry, or the start of its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A local form of an image does not hold one.
    #[error("use `{reference}`: {reason}")]
    RefuseLocal {
        /// The image.
        reference: Box<ImageRef>,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory could not be read.
    #[error("read `{path}`")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("write `{path}`")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The registry settings are not what they should be.
    #[error("use the registry settings `{place}`: {reason}")]
    RefuseSettings {
        /// The file or variable.
        place: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The credentials could not be read.
    #[error("get the credentials for `{registry}`")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: docker_credential::CredentialRetrievalError,
    },
    /// There is no image of this name or id in the store.
    #[error("find image `{text}`: there is none of that name or id")]
    NoSuchImage {
        /// What was asked for.
        text: String,
    },
    /// The beginning of an id is that of several images.
    #[error("find image `{text}`: several images have ids that begin so")]
    Ambiguous {
        /// What was asked for.
        text: String,
    },
    /// This machine has no overlays, so that changes cannot be told from what was there.
    #[error("make a layer: this machine has no overlay filesystem for the state directory")]
    NoOverlay,
    /// The image is used by containers.
    #[error("remove image `{reference}`: used by {}", containers.join(", "))]
    InUse {
        /// The image.
        reference: Box<ImageRef>,
        /// Ids of the containers.
        containers: Vec<String>,
    },
    /// A root filesystem could not be put together.
    #[error("assemble the root filesystem: {act}")]
    Assemble {
        /// What was being done.
        act: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program stops in the middle of the work.
    #[error("finish the work on images: the program is stopping")]
    Interrupted,
    /// A thread could not be made.
    #[error("do the work on images on a thread of its own")]
    Thread {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files of the state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImageError {
    /// Tells a full disk from other failed writes.
    pub(super) fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if is_disk_full(&source) {
            return Self::DiskFull { path };
        }
        Self::Write { path, source }
    }

    /// Tells a full disk from other failures of the state directory.
    pub(super) fn from_store(error: StoreError) -> Self {
        if let StoreError::Write { path, source } = error {
            return Self::write(path, source);
        }
        Self::Store(error)
    }

    /// Tells a full disk from other failures of unpacking.
    pub(super) fn unpack(digest: &Digest, name: String, place: &Path, source: io::Error) -> Self {
        if is_disk_full(&source) {
            return Self::DiskFull {
                path: place.to_owned(),
            };
        }
        Self::Unpack {
            digest: digest.clone(),
            name,
            source,
        }
    }

    pub(super) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }
}

fn also_asked(others: &[String]) -> String {
    if others.is_empty() {
        return String::new();
    }
    format!(" (asked before without success: {})", others.join(", "))
}

pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
