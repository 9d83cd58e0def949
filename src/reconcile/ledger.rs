//! What has become of each step, and which ones may begin.
//!
//! **Invariant:** a step is ready only when each of its prerequisites has an entry that says it
//! succeeded or was not needed; "ended" is never enough.

use super::SkipReason;
use crate::engine::Performed;
use crate::plan::{Guard, Plan, Step, StepId};
use std::collections::{BTreeMap, BTreeSet};

/// What has become of a step.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Done(Performed),
    NotNeeded,
    Failed,
    Skipped,
}

impl Entry {
    /// Whether what comes after may begin.
    fn lets_go_on(&self) -> bool {
        matches!(self, Self::Done(_) | Self::NotNeeded)
    }
}

/// The books of one walk.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    plan: &'a Plan,
    entries: BTreeMap<StepId, Entry>,
    open: BTreeMap<StepId, usize>,
    dependents: BTreeMap<StepId, Vec<StepId>>,
    ready: BTreeSet<StepId>,
}

/// A step that is not done, and why.
pub(super) type Skipped<'a> = (&'a Step, SkipReason);

impl<'a> Ledger<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut ledger = Self {
            plan,
            entries: BTreeMap::new(),
            open: BTreeMap::new(),
            dependents: BTreeMap::new(),
            ready: BTreeSet::new(),
        };
        for step in &plan.steps {
            for before in &step.after {
                ledger.dependents.entry(*before).or_default().push(step.id);
            }
            if step.after.is_empty() {
                ledger.ready.insert(step.id);
            } else {
                ledger.open.insert(step.id, step.after.len());
            }
        }
        ledger
    }

    /// Takes the first step that may begin and that `fits`.
    pub(super) fn take_ready(&mut self, fits: impl Fn(&Step) -> bool) -> Option<&'a Step> {
        let steps = self.ready.iter().filter_map(|id| self.plan.step(*id));
        let step = steps.into_iter().find(|step| fits(step))?;
        self.ready.remove(&step.id);
        Some(step)
    }

    /// Whether a step may begin.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The steps that have not begun.
    pub(super) fn open_steps(&self) -> impl Iterator<Item = &'a Step> {
        let plan = self.plan;
        let open = self.open.keys().chain(&self.ready);
        open.filter_map(|id| plan.step(*id))
    }

    /// Whether a step's guard lets it be done.
    pub(super) fn is_needed(&self, step: &Step) -> bool {
        match &step.guard {
            None => true,
            Some(Guard::ImageChanged { pulled_by, from }) => match self.entries.get(pulled_by) {
                Some(Entry::Done(Performed::Image { id })) => id != from,
                Some(_) | None => false,
            },
        }
    }

    /// Enters what has become of a step; returns the steps that cannot be done because of it.
    pub(super) fn enter(&mut self, id: StepId, entry: Entry) -> Vec<Skipped<'a>> {
        let goes_on = entry.lets_go_on();
        self.entries.insert(id, entry);
        if goes_on {
            self.release(id);
            return Vec::new();
        }
        self.block(id)
    }

    fn release(&mut self, id: StepId) {
        for dependent in self.dependents.get(&id).into_iter().flatten() {
            let Some(open) = self.open.get_mut(dependent) else {
                continue;
            };
            *open -= 1;
            if *open == 0 {
                self.open.remove(dependent);
                self.ready.insert(*dependent);
            }
        }
    }

    fn block(&mut self, id: StepId) -> Vec<Skipped<'a>> {
        let mut skipped = Vec::new();
        let mut blocked = vec![id];
        while let Some(cause) = blocked.pop() {
            for dependent in self.dependents.get(&cause).into_iter().flatten() {
                if self.open.remove(dependent).is_none() {
                    continue;
                }
                self.entries.insert(*dependent, Entry::Skipped);
                let step = self.plan.step(*dependent);
                skipped.extend(step.map(|step| (step, SkipReason::Prerequisite(cause))));
                blocked.push(*dependent);
            }
        }
        skipped
    }

    /// Gives up everything that has not begun.
    pub(super) fn cancel(&mut self) -> Vec<Skipped<'a>> {
        let open = std::mem::take(&mut self.open);
        let ready = std::mem::take(&mut self.ready);
        let given_up: BTreeSet<StepId> = open.into_keys().chain(ready).collect();
        self.entries
            .extend(given_up.iter().map(|id| (*id, Entry::Skipped)));
        let steps = given_up.into_iter().filter_map(|id| self.plan.step(id));
        steps.map(|step| (step, SkipReason::Cancelled)).collect()
    }

    /// What came of the steps that succeeded.
    pub(super) fn into_performed(self) -> BTreeMap<StepId, Performed> {
        let done = |(id, entry)| match entry {
            Entry::Done(performed) => Some((id, performed)),
            Entry::NotNeeded | Entry::Failed | Entry::Skipped => None,
        };
        self.entries.into_iter().filter_map(done).collect()
    }
}
