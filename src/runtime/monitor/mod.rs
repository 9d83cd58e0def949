//! One small process per container that outlives the command: `consort [monitor]`.
//!
//! It starts the container, keeps its output, sees how it ends, starts it again by its policy,
//! probes its health, answers its name queries and listens on its published ports. It may die: the
//! container does not notice, and the next command starts a monitor that adopts it.
//!
//! | file | what it is |
//! |---|---|
//! | [`bundle`] | all that a monitor needs to know of its container |
//! | [`state`] | what it says of its container |
//! | [`control`] | how commands talk to it |
//! | [`log`], [`pipes`] | output, and how it survives a monitor |
//! | [`health`], [`restart`] | two rules, pure |
//! | [`events`] | what happened, for whoever follows |
//! | `run` | the loop; its hands are `launch`, `probe`, `output`, `caller`, `console`, `conversation` and `network` |
//!
//! **Invariant:** one thread, and at most one more that lives in the container's network.

pub mod bundle;
pub mod state;
pub mod control;
pub mod log;
pub mod pipes;
pub mod health;
pub mod restart;
pub mod events;
mod clock;
mod waits;
mod caller;
mod output;
mod conversation;
mod console;
mod network;
mod launch;
mod probe;
mod run;
mod error;
mod report;
mod process;

pub use error::MonitorError;
pub use launch::first_process;
pub use process::{ARG0, Mode, main};
pub use report::StartReport;
