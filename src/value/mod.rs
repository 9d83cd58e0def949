//! Ground: small checked values, parsed once and trusted afterwards.

mod as_text;
mod byte_size;
mod cidr;
mod digest;
mod duration;
mod git_source;
mod ignore;
mod image_ref;
mod names;
mod place;
mod platform;
mod signal;

pub use byte_size::{ByteSize, ByteSizeError};
pub use cidr::{Cidr, CidrError};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use duration::{Duration, DurationError};
pub use git_source::{GitSource, GitSourceError};
pub use ignore::{IgnoreError, IgnorePatterns, Matched as IgnoreMatched};
pub use image_ref::{ImageRef, ImageRefError, LocalImage, RegistryRef};
pub use names::{ContainerName, NameError, NetworkName, ProjectName, ServiceName, VolumeName};
pub use place::Place;
pub use platform::{Platform, PlatformError};
pub use signal::{Signal, SignalError};
