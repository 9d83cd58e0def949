//! How a container really runs on this kernel; never heard of a Compose service.
//!
//! Reading order: `kernel` and `store` are the ground, `git`, `image`, `volume`, `network` and
//! `container` stand on them, `copy` moves files between two roots, `monitor` puts them together for one container, `build` for one image.

pub mod build;
pub mod container;
pub mod copy;
pub mod git;
pub mod image;
pub mod kernel;
pub mod monitor;
pub mod network;
pub mod store;
pub mod volume;
