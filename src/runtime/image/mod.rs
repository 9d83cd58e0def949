//! Images: references into verified, unpacked layers on this disk.

mod artifact;
mod catalog;
mod config;
mod content;
mod draft;
mod error;
mod images;
mod index;
mod layer;
mod layers;
mod local;
mod manifest;
mod pull;
mod record;
mod save;
mod steps;
pub mod registry;
pub mod snapshot;

pub use artifact::{Artifact, ArtifactPart, Artifacts};
pub use catalog::{Match, Removed, StoredImage, StoredLayer};
pub use config::{ImageConfig, ImageHealthcheck};
pub use draft::{Draft, NewLayer};
pub use error::ImageError;
pub use images::{Keep, Pruned, Store};
pub use layer::{Times, is_archive, pack_files, pack_path, unpack_archive};
pub use local::Loaded;
pub use pull::{Progress, PullOptions, remote_digest};
pub use record::{ImageRecord, LayerState, PullProgress, RootSource};
pub use registry::{Credentials, RegistrySettings};
pub use save::Saved;
pub use steps::{BuildLease, StepRecord};
