//! Makes it so: walks a plan step by step and emits events; decides nothing.
//!
//! The walk starts each step the moment its own prerequisites have succeeded. A step that fails
//! stops what depends on it and nothing else.

mod event;
mod cancel;

pub use cancel::{Cancel, Canceller, cancellation};
pub use event::{Event, Finished, PathStep, SkipReason};
