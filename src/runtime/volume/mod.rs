//! Volumes: named directories, and paths of this machine, as mounts for containers.

mod error;
mod recipe;
mod seed;
mod named;

pub use error::VolumeError;
pub use named::{
    Created, Listed, Missing, VolumeRecord, VolumeStore, anonymous_name, mount_bind, prepare_bind,
};
pub use recipe::Recipe;
pub use seed::Seeded;

#[cfg(test)]
mod tests;
