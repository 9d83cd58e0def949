//! Images from registries and from this disk, through the library: honest ones and lying ones.

#![expect(
    clippy::disallowed_methods,
    reason = "a test starts servers and tools, and looks at files, as a user does"
)]

#[path = "image/built.rs"]
mod built;
#[path = "image/hostile.rs"]
mod hostile;
#[path = "image/local.rs"]
mod local;
#[path = "image/registry.rs"]
mod registry;
#[path = "image/rootfs.rs"]
mod rootfs;
#[path = "image/server.rs"]
mod server;
#[path = "image/state.rs"]
mod state;
