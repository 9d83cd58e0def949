//! A plan while it is made: steps in the order in which they come to mind, with arrows added later.
//!
//! **Invariant:** the numbers that a sketch hands out are its own; [`Sketch::finish`] gives the
//! plan's numbers, in a valid order and the same for the same sketch.

use super::{Action, Cause, Guard, Plan, Step, StepId, Warning};
use crate::graph::Dag;
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
        let after = after.into_iter().collect();
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

    /// Makes `step` wait for `prerequisites` as well.
    pub(super) fn after(&mut self, step: StepId, prerequisites: impl IntoIterator<Item = StepId>) {
        if let Some(draft) = self.draft(step) {
            draft.after.extend(prerequisites);
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

    /// Brings the steps into a valid order and numbers them from one.
    pub(super) fn finish(self) -> Plan {
        let ids = (0..).map(StepId).take(self.steps.len());
        let arrows = ids
            .clone()
            .zip(&self.steps)
            .flat_map(|(id, draft)| draft.after.iter().map(move |before| (id, *before, ())));
        let dag =
            Dag::new(ids, arrows).expect("arrows follow the order of services, which has no cycle");
        let numbers: BTreeMap<StepId, StepId> = dag
            .order()
            .into_iter()
            .copied()
            .zip((1..).map(StepId))
            .collect();
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
            | Self::NetworkRecreated { .. }
            | Self::VolumeRecreated { .. }
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
