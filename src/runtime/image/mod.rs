//! Images: references into verified, unpacked layers on this disk.

mod config;
mod error;
mod layer;
mod manifest;
mod record;
pub mod registry;

pub use config::{ImageConfig, ImageHealthcheck};
pub use error::ImageError;
pub use record::{ImageRecord, LayerState, PullProgress, RootSource};
pub use registry::{Credentials, RegistrySettings};
