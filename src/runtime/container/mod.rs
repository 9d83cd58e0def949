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
pub mod seccomp;
pub mod cgroup;
mod bundle;
mod settings;
mod init;
mod create;
mod handle;
pub mod exec;

pub use bundle::{Bundle, FirstProcess, JoinedNamespace, JoinedNamespaces, Lifetime, Stdio};
pub use create::{Created, create};
pub use error::ContainerError;
pub use handle::{Container, ContainerRecord, Signalled};
