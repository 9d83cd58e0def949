//! What must change: desired and observed state into a DAG of steps with causes; pure.
//!
//! Everything that will be done is a step: fetching, making, starting, waiting, hooks, stopping,
//! removing. What is not in the plan is not done, and what is in it is done without another choice.
//!
//! One verb for each thing that people ask for: [`up()`], [`run`] and [`down`], [`start`], [`stop`],
//! [`restart`], [`kill`], [`pause`], [`unpause`], [`remove`] and [`pull`]. Each takes what is there
//! and, where it matters, what should be.
//!
//! **Invariant:** no I/O, no async, no clock, no prompt and no logging. What a user must be asked
//! comes back as a [`Warning`], and the answer comes in as an option of the next planning.

mod action;
mod cause;
mod step;
mod warning;
mod error;
mod options;
mod sketch;
mod diff;
mod wording;
mod stored;
mod up;
mod life;
mod build;
mod text;

pub use action::{Action, AnonymousVolumes, BuildRequest, Occasion, Until};
pub use build::{BuildOptions, build};
pub use cause::{Cause, FieldChange};
pub use error::PlanError;
pub use life::{down, kill, pause, pull, remove, restart, start, stop, unpause};
pub use options::{
    BuildImages, Dependencies, Diverged, DownOptions, OrphanPolicy, PullOptions, Recreate,
    RemoveImages, RemoveOptions, Renew, RunOptions, RunStart, StartMode, StartOptions, StopOptions,
    UpOptions, Volumes, WaitFor,
};
pub use step::{Guard, Plan, Step, StepId};
pub use up::{run, up};
pub use warning::Warning;
