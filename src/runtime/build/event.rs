//! What a build tells while it runs.

use std::time::Duration;

use crate::runtime::image::PullProgress;

/// Who is told.
pub type Events = std::sync::Arc<dyn Fn(BuildEvent) + Send + Sync>;

/// Something that happened in a build; `stage` and `step` are indexes into its graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// An image that a stage needs is fetched.
    Pull {
        /// The image.
        image: String,
        /// How far it is.
        progress: PullProgress,
    },
    /// A step begins.
    StepStarted {
        /// The stage.
        stage: usize,
        /// The step.
        step: usize,
    },
    /// A step did not have to be done.
    StepCached {
        /// The stage.
        stage: usize,
        /// The step.
        step: usize,
    },
    /// A step's command has written something.
    StepOutput {
        /// The stage.
        stage: usize,
        /// The step.
        step: usize,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// A step is done.
    StepDone {
        /// The stage.
        stage: usize,
        /// The step.
        step: usize,
        /// How long it took.
        duration: Duration,
    },
    /// A step failed; the build's error says why.
    StepFailed {
        /// The stage.
        stage: usize,
        /// The step.
        step: usize,
    },
}
