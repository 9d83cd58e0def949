//! Real namespaces, mounts and limits, looked at from inside the container.
//!
//! These need root (in a user namespace is enough for most) and `busybox-static`; where something is
//! missing a test says so and is skipped.

#[path = "kernel/sandbox.rs"]
mod sandbox;

#[path = "kernel/confinement.rs"]
mod confinement;
#[path = "kernel/exec.rs"]
mod exec;
#[path = "kernel/filesystem.rs"]
mod filesystem;
#[path = "kernel/lifecycle.rs"]
mod lifecycle;
#[path = "kernel/limits.rs"]
mod limits;
