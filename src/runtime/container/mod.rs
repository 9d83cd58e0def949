//! One OCI container: its processes, mounts, limits and confinement.
//!
//! Called in process by the container's monitor:
//!
//! ```text
//! Description ─► spec::build ─► Spec ─┐
//! rootfs, namespaces, stdio, files ───┴► Bundle ─► create ─► Created ─► start ─► Container
//! ```

mod error;
pub mod description;
pub mod users;
pub mod spec;

pub use error::ContainerError;
