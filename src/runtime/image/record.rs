//! What the rest of the program knows of a stored image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::value::{Digest, ImageRef, Platform};

use super::ImageConfig;

/// An image that is ready to run: all its layers are unpacked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// How it was asked for.
    pub reference: ImageRef,
    /// The digest of its configuration: equal ids are equal images.
    ///
    /// A `rootfs:` directory is not content that could be hashed; its id names the directory.
    pub id: Digest,
    /// The digest under which its registry knows it: of the index where there was one.
    pub repo_digest: Option<Digest>,
    /// How it wants to be run.
    pub config: ImageConfig,
    /// What it was built for.
    pub platform: Platform,
    /// When it was built, as it says itself.
    pub created: Option<String>,
    /// What its layers take on this disk, unpacked.
    pub size_bytes: u64,
    /// Where its root filesystem comes from.
    pub root: RootSource,
}

/// What a container's root filesystem is assembled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootSource {
    /// Unpacked layers, topmost first; none at all is an empty root.
    Layers(Vec<PathBuf>),
    /// A directory of this machine, of which containers get a copy-on-write view.
    HostDir(PathBuf),
}

/// What a pull is doing; sent often, to be shown and forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullProgress {
    /// The manifest is known.
    Resolved {
        /// The digest the registry answers with.
        digest: Digest,
        /// How many layers the image has.
        layers: usize,
        /// What all layers have together, compressed.
        size_bytes: u64,
    },
    /// One layer made a step.
    Layer {
        /// The layer's blob.
        digest: Digest,
        /// Where it is now.
        state: LayerState,
    },
    /// A request failed and is sent again.
    Retry {
        /// Why the last one failed.
        reason: String,
        /// How many were sent so far.
        attempt: u32,
    },
}

/// Where a layer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerState {
    /// It was unpacked here before.
    Present,
    /// Its bytes arrive; they are checked and unpacked as they come.
    Fetching {
        /// Compressed bytes that are here.
        done_bytes: u64,
        /// Compressed bytes that there will be.
        total_bytes: u64,
    },
    /// All bytes are here; the rest is being unpacked and written to the disk.
    Finishing,
    /// It is unpacked, checked and durable.
    Done,
}
