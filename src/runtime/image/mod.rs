//! Images: references into verified, unpacked layers on this disk.

mod artifact;
mod config;
mod content;
mod error;
mod images;
mod index;
mod layer;
mod layers;
mod local;
mod manifest;
mod pull;
mod record;
pub mod registry;
pub mod snapshot;

pub use artifact::{Artifact, ArtifactPart, Artifacts};
pub use config::{ImageConfig, ImageHealthcheck};
pub use error::ImageError;
pub use images::{Pruned, Store};
pub use pull::{Progress, PullOptions, remote_digest};
pub use record::{ImageRecord, LayerState, PullProgress, RootSource};
pub use registry::{Credentials, RegistrySettings};
