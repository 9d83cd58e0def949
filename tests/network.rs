//! The network room on real links: every test plays in a network namespace of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "a test waits by the clock and starts programs to look from outside"
)]

mod support {
    pub(crate) use crate::machine;
}

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod machine;

#[path = "network/host.rs"]
mod host;
#[path = "network/links.rs"]
mod links;
#[path = "network/names.rs"]
mod names;
#[path = "network/ports.rs"]
mod ports;
#[path = "network/way_out.rs"]
mod way_out;
