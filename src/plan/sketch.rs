//! A plan while it is made: steps in the order in which they come to mind.
//!
//! **Invariant:** a step is added after those that it waits for, so that no circle can come of adding;
//! only arrows that [`Sketch::weave`] adds can close one, which is an error.
//! **Invariant:** the numbers that a sketch hands out are its own; [`Sketch::finish`] and
//! [`Sketch::weave`] give the plan's numbers, in a valid order and the same for the same sketch.

use super::{Action, Cause, Guard, Plan, PlanError, Step, StepId, Warning};
use crate::graph::{Cycle, Dag};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Sketch {
    steps: Vec<Draft>,
    warnings: Vec<Warning>,
}

#[derive(Debug)]
struct Draft {
    action: Action,
    cause: Cause,
    after: BTreeSet<StepId>,
    group: Option<String>,
    guard: Option<Guard>,
}

impl Sketch {
    pub(super) fn add(
        &mut self,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        let after: BTreeSet<StepId> = after.into_iter().collect();
        debug_assert!(
            after.iter().all(|before| *before < id),
            "it waits for what is there"
        );
        self.steps.push(Draft {
            action,
            cause,
            after,
            group: None,
            guard: None,
        });
        id
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn group(&mut self, step: StepId, group: &str) {
        if let Some(draft) = self.draft(step) {
            draft.group = Some(group.to_owned());
        }
    }

    pub(super) fn guard(&mut self, step: StepId, guard: &Guard) {
        if let Some(draft) = self.draft(step) {
            draft.guard = Some(guard.clone());
        }
    }

    fn draft(&mut self, step: StepId) -> Option<&mut Draft> {
        self.steps.get_mut(usize::try_from(step.0).ok()?)
    }

    /// Numbers the steps from one, as they came to mind: each waits for earlier ones alone.
    pub(super) fn finish(self) -> Plan {
        let ids = (0..).map(StepId).take(self.steps.len());
        let numbers = ids.zip((1..).map(StepId)).collect();
        self.numbered(&numbers)
    }

    /// Adds arrows from steps to those that they wait for as well, brings all into a valid order and
    /// numbers them from one; an error when steps wait for each other.
    pub(super) fn weave(
        mut self,
        arrows: impl IntoIterator<Item = (StepId, StepId)>,
    ) -> Result<Plan, PlanError> {
        for (step, before) in arrows {
            if let Some(draft) = self.draft(step) {
                draft.after.insert(before);
            }
        }
        let ids = (0..).map(StepId).take(self.steps.len());
        let arrows = ids
            .clone()
            .zip(&self.steps)
            .flat_map(|(id, draft)| draft.after.iter().map(move |before| (id, *before, ())));
        let dag = Dag::new(ids, arrows).map_err(|cycle| self.tangle(&cycle))?;
        let order = dag.order().into_iter().copied();
        let numbers = order.zip((1..).map(StepId)).collect();
        Ok(self.numbered(&numbers))
    }

    fn tangle(&self, cycle: &Cycle<StepId, ()>) -> PlanError {
        let path = cycle.path();
        let drafts = path
            .into_iter()
            .filter_map(|step| self.steps.get(usize::try_from(step.0).ok()?));
        let steps = drafts.map(|draft| {
            let action = &draft.action;
            format!("{} {}", action.verb(), action.subject())
        });
        PlanError::Tangled {
            steps: steps.collect(),
        }
    }

    fn numbered(self, numbers: &BTreeMap<StepId, StepId>) -> Plan {
        let renumbered = |id: StepId| numbers.get(&id).copied().unwrap_or(id);
        let mut steps: Vec<Step> = (0..)
            .map(StepId)
            .zip(self.steps)
            .map(|(id, draft)| Step {
                id: renumbered(id),
                action: draft.action,
                cause: draft.cause.renumbered(&renumbered),
                after: draft.after.into_iter().map(renumbered).collect(),
                group: draft.group,
                guard: draft.guard.map(|guard| guard.renumbered(&renumbered)),
            })
            .collect();
        steps.sort_by_key(|step| step.id);
        for step in &mut steps {
            step.after.sort_unstable();
        }
        Plan {
            steps,
            warnings: self.warnings,
        }
    }
}

impl Cause {
    fn renumbered(self, renumbered: &impl Fn(StepId) -> StepId) -> Self {
        match self {
            Self::Follows(step) => Self::Follows(renumbered(step)),
            Self::ReplacedBy(step) => Self::ReplacedBy(renumbered(step)),
            other @ (Self::NotFound
            | Self::NotWanted
            | Self::Requested
            | Self::Changed(_)
            | Self::ImageChanged { .. }
            | Self::ImageMayChange
            | Self::PullPolicy { .. }
            | Self::ForceRecreate
            | Self::NotRunning { .. }
            | Self::NeededBy { .. }
            | Self::DependencyRestarts { .. }
            | Self::Rejoins { .. }
            | Self::NetworkRecreated { .. }
            | Self::VolumeRecreated { .. }
            | Self::Stopping
            | Self::NotConnected { .. }
            | Self::ScaleDown { .. }
            | Self::Orphan
            | Self::Leftover
            | Self::Hook { .. }) => other,
        }
    }
}

impl Guard {
    fn renumbered(self, renumbered: &impl Fn(StepId) -> StepId) -> Self {
        match self {
            Self::ImageChanged { pulled_by, from } => Self::ImageChanged {
                pulled_by: renumbered(pulled_by),
                from,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(sketch: &mut Sketch, name: &str, after: Option<StepId>) -> StepId {
        let action = Action::UnpauseContainer {
            name: name.parse().unwrap(),
        };
        sketch.add(action, Cause::Requested, after)
    }

    #[test]
    fn what_was_added_later_can_come_first() {
        let mut sketch = Sketch::default();
        let first = start(&mut sketch, "a", None);
        let second = start(&mut sketch, "b", None);
        let plan = sketch.weave([(first, second)]).unwrap();
        let subjects: Vec<String> = plan
            .steps
            .iter()
            .map(|step| step.action.subject())
            .collect();
        assert_eq!(subjects, ["b", "a"]);
        assert_eq!(plan.steps[1].after, [plan.steps[0].id]);
    }

    #[test]
    fn steps_that_wait_for_each_other_are_an_error_that_names_them() {
        let mut sketch = Sketch::default();
        let first = start(&mut sketch, "a", None);
        let second = start(&mut sketch, "b", Some(first));
        let error = sketch.weave([(first, second)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "order the steps: unpause container a → unpause container b → unpause container a"
        );
    }
}
