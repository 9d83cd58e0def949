//! Makes it so: walks a plan step by step and emits events; decides nothing.
//!
//! [`run`] starts each step the moment its own prerequisites have succeeded. A step that fails
//! stops what depends on it and nothing else.

mod event;
mod cancel;
mod path;
mod ledger;
mod hold;
mod walk;

pub use cancel::{Cancel, Canceller, cancellation};
pub use event::{Event, Finished, PathStep, SkipReason};
pub use hold::Hold;
pub use walk::{Options, Outcome, ReconcileError, StepError, run};
