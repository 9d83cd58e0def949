//! Ground: small checked values, parsed once and trusted afterwards.

mod digest;
mod image_ref;
mod platform;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use image_ref::{ImageRef, ImageRefError, LocalImage, RegistryRef};
pub use platform::{Platform, PlatformError};
