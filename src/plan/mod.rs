//! What must change: desired and observed state into a DAG of steps with causes; pure.
//!
//! Everything that will be done is a step: fetching, making, starting, waiting, hooks, stopping,
//! removing. What is not in the plan is not done, and what is in it is done without another choice.
//!
//! **Invariant:** no I/O, no async, no clock, no prompt and no logging. What a user must be asked
//! comes back as a [`Warning`], and the answer comes in as an option of the next planning.

mod action;
mod cause;
mod step;
mod warning;

pub use action::{Action, AnonymousVolumes, BuildRequest, Until};
pub use cause::{Cause, FieldChange};
pub use step::{Guard, Plan, Step, StepId};
pub use warning::Warning;
