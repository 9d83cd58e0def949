//! What happens while a plan is walked.

use crate::engine::{EngineError, Update};
use crate::plan::{Step, StepId};
use std::time::Duration;

/// Something that happened while a plan was walked; times count from the start of the walk.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step has begun.
    StepStarted {
        /// The step.
        step: &'a Step,
        /// When.
        at: Duration,
    },
    /// A step is that far.
    StepProgress {
        /// The step.
        step: &'a Step,
        /// How far it is.
        update: Update,
    },
    /// A step has succeeded.
    StepDone {
        /// The step.
        step: &'a Step,
        /// When.
        at: Duration,
        /// How long it took.
        took: Duration,
    },
    /// A step has failed.
    StepFailed {
        /// The step.
        step: &'a Step,
        /// When.
        at: Duration,
        /// How long it took.
        took: Duration,
        /// Why.
        error: &'a EngineError,
    },
    /// A step is not done.
    StepSkipped {
        /// The step.
        step: &'a Step,
        /// Why not.
        because: SkipReason,
    },
    /// A step has succeeded with something that the user should know, or has failed without need.
    Warning {
        /// The step.
        step: &'a Step,
        /// What the user should know.
        notice: String,
    },
    /// A hook has run and written something.
    Said {
        /// The step.
        step: &'a Step,
        /// As much of it as is told.
        output: String,
    },
    /// Nothing more will happen.
    Finished(&'a Finished),
}

/// Why a step is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// A step that it needs has failed or was not done.
    Prerequisite(StepId),
    /// Its guard does not hold: there is no need for it, and what comes after goes on.
    Guard,
    /// The user has had enough.
    Cancelled,
}

/// How a walk went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// How long it took.
    pub took: Duration,
    /// How many steps succeeded.
    pub done: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not done.
    pub skipped: usize,
    /// The chain of steps that the whole time went to, from first to last.
    pub critical_path: Vec<PathStep>,
}

/// One step of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The step.
    pub step: StepId,
    /// When it began.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
}
