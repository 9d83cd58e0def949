//! Volumes: named directories, and paths of this machine, as mounts for containers.

mod error;
mod recipe;
mod seed;
mod volumes;

pub use error::VolumeError;
pub use recipe::Recipe;
pub use seed::Seeded;
pub use volumes::{
    Created, Missing, VolumeRecord, VolumeStore, anonymous_name, mount_bind, prepare_bind,
};
