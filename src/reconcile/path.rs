//! Which steps the whole time went to.

use super::PathStep;
use crate::plan::{Plan, StepId};
use std::{collections::BTreeMap, time::Duration};

/// When a step ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) at: Duration,
    pub(super) took: Duration,
}

impl Span {
    fn end(self) -> Duration {
        self.at + self.took
    }
}

/// Follows the step that ended last back through the prerequisite that held each one up.
pub(super) fn critical(plan: &Plan, spans: &BTreeMap<StepId, Span>) -> Vec<PathStep> {
    let last = spans.iter().max_by_key(|(id, span)| (span.end(), **id));
    let held_up_by = |id: &StepId| {
        let after = plan
            .step(*id)
            .map(|step| step.after.as_slice())
            .unwrap_or_default();
        let ran = after.iter().filter_map(|id| Some((*id, spans.get(id)?)));
        ran.max_by_key(|(id, span)| (span.end(), *id))
            .map(|(id, _)| id)
    };
    let chain = std::iter::successors(last.map(|(id, _)| *id), held_up_by);
    let mut path: Vec<PathStep> = chain
        .filter_map(|step| spans.get(&step).map(|span| (step, span)))
        .map(|(step, span)| PathStep {
            step,
            at: span.at,
            took: span.took,
        })
        .collect();
    path.reverse();
    path
}
