//! A new container in the place of another: made beside it, swapped when it can start.

use super::{Up, start::Way};
use crate::desired::{ContainerSpec, DesiredService};
use crate::observed::{ObservedContainer, RunState};
use crate::plan::{Action, AnonymousVolumes, Cause, Guard, Renew, StartMode, StepId, stored};
use crate::value::ContainerName;

impl<'a> Up<'a> {
    /// Puts a new container in the place of another: made beside it, swapped when everything that
    /// the new one needs is there.
    pub(super) fn replace(
        &mut self,
        service: &DesiredService,
        spec: &'a ContainerSpec,
        (old, renamed): (&ObservedContainer, Option<StepId>),
        (cause, guard): (Cause, Option<Guard>),
    ) -> Option<StepId> {
        let group = format!("recreate {}", spec.name);
        let guard = guard.as_ref();
        let inherit = match self.options.anonymous_volumes {
            Renew::Inherit => Some(old.name.clone()),
            Renew::Renew => None,
        };
        let made = self.add_create(spec, (temporary_name(old, spec), inherit), cause);
        let taken = self.gone.get(&temporary_name(old, spec)).copied();
        self.after(made, renamed.into_iter().chain(taken));
        let replaced = Cause::ReplacedBy(made);
        // The old one runs until the new one can start, unless it stops with what it depends on.
        let mut ready: Vec<StepId> = guard.and(self.thaw(old, renamed)).into_iter().collect();
        if !self.restarts_with_dependency(service) {
            ready.push(made);
            if self.options.start == StartMode::Start && !self.is_contested(old) {
                ready.extend(self.gates(service));
            }
        }
        let stopped = self.stop(old, &replaced, &ready, guard);
        self.stop_before_dependencies(service, &old.name);
        let volumes = match self.options.anonymous_volumes {
            Renew::Renew if !stored::owns_one_of(old, &self.desired.external.volumes) => {
                AnonymousVolumes::Remove
            }
            Renew::Renew | Renew::Inherit => AnonymousVolumes::Keep,
        };
        let action = Action::RemoveContainer {
            name: old.name.clone(),
            volumes,
        };
        let removed = self
            .sketch
            .add(action, replaced, stopped.into_iter().chain([made]));
        let action = Action::RenameContainer {
            name: temporary_name(old, spec),
            to: spec.name.clone(),
        };
        let named = self.sketch.add(action, Cause::Follows(removed), [removed]);
        for step in [Some(made), stopped, Some(removed), Some(named)]
            .into_iter()
            .flatten()
        {
            self.sketch.group(step, &group);
            self.guarded(step, guard);
        }
        self.after_unplugging(&old.name, made);
        let before_start = vec![named];
        let guard = self.start_guard(old, guard);
        let way = Way {
            spec,
            before_start,
            guard,
            group: Some(group),
            is_new: true,
        };
        self.start(service, way, Cause::Follows(named))
    }

    /// What does not run starts whether or not it is replaced before, unless it is done.
    pub(super) fn start_guard(
        &self,
        old: &ObservedContainer,
        guard: Option<&Guard>,
    ) -> Option<Guard> {
        let is_done = old.exit_code == Some(0) && self.is_one_shot(&old.service);
        guard.filter(|_| old.is_alive() || is_done).cloned()
    }

    /// Why a container is made again whether or not its image changes: the plan takes a network from
    /// it in any case, and nothing else would give it back.
    pub(super) fn unplugs(&self, there: &ObservedContainer) -> Option<Cause> {
        let network = self.unplugged.get(&there.name)?.keys().next()?.clone();
        Some(Cause::NetworkRecreated { network })
    }

    /// Lets a frozen container run, which it should when it turns out that it stays.
    fn thaw(&mut self, there: &ObservedContainer, renamed: Option<StepId>) -> Option<StepId> {
        if there.state != RunState::Paused {
            return None;
        }
        let action = Action::UnpauseContainer {
            name: there.name.clone(),
        };
        let cause = Cause::NotRunning {
            state: there.state,
            exit_code: there.exit_code,
        };
        Some(self.sketch.add(action, cause, renamed))
    }

    /// A replacement is made on the network's new self.
    fn after_unplugging(&mut self, old: &ContainerName, made: StepId) {
        let plugs = self.unplugged.remove(old).unwrap_or_default();
        self.after(made, plugs.into_values());
    }
}

/// The name of a replacement until the place is free; it says whom it replaces.
fn temporary_name(old: &ObservedContainer, spec: &ContainerSpec) -> ContainerName {
    let id = old.id.get(..12).unwrap_or(&old.id);
    format!("{id}_{}", spec.name)
        .parse()
        .unwrap_or_else(|_| spec.name.clone())
}
