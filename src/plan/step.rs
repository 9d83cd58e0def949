//! A plan and its steps.

use super::{Action, Cause, Warning};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of a step within its plan, from one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One thing to do, and what must be done before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What is done.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// The steps that must have succeeded before; all have smaller numbers.
    pub after: Vec<StepId>,
    /// What the step is a part of to the user, such as `recreate demo-web-1`.
    pub group: Option<String>,
    /// Under which condition it is done, where that is only known on the way.
    pub guard: Option<Guard>,
}

/// A condition that is only known on the way; a step whose guard does not hold is passed over, and
/// what comes after it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The image that a step fetched is not the one with this id.
    ImageChanged {
        /// The step that fetches it.
        pulled_by: StepId,
        /// The id that changes nothing.
        from: String,
    },
}

/// What must change, in which order and why.
///
/// **Invariant:** steps are numbered from one in the order of the list, and each comes after its
/// prerequisites, so that walking the list from the front is a valid order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What the user should know or be asked before anything moves.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step with the number, which is one of this plan's.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }
}
