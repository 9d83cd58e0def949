//! What happens to containers that are there: they stop, start, freeze, go.
//!
//! All of it works from what the containers say about themselves, so that it needs no file.

mod halt;
mod order;
mod down;
mod start;
mod pull;

pub use down::down;
pub use halt::{kill, pause, remove, stop, unpause};
pub use pull::pull;
pub use start::{restart, start};
