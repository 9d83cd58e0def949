//! Containers that stop: each once, with its hooks, whatever the reasons.

use super::Up;
use crate::desired::{DesiredService, HookStage};
use crate::observed::ObservedContainer;
use crate::plan::{Action, AnonymousVolumes, Cause, Guard, StepId, stored};
use crate::value::{ContainerName, Duration, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// The containers that stop.
#[derive(Debug, Default)]
pub(super) struct Stops {
    steps: BTreeMap<ContainerName, Stop>,
}

#[derive(Debug)]
struct Stop {
    service: ServiceName,
    /// The first step: a hook, or the stop itself.
    first: StepId,
    /// The stop itself.
    last: StepId,
    guard: Option<Guard>,
}

impl Stops {
    /// The step after which a container does not run, when the plan stops it.
    pub(super) fn of(&self, container: &ContainerName) -> Option<StepId> {
        self.steps.get(container).map(|stop| stop.last)
    }

    /// The first steps of the stops of a service's containers.
    pub(super) fn of_service(&self, service: &ServiceName) -> BTreeSet<StepId> {
        self.steps
            .values()
            .filter(|stop| stop.service == *service)
            .map(|stop| stop.first)
            .collect()
    }

    /// The guard that all stops of a service's containers have in common.
    pub(super) fn guard_of_service(&self, service: &ServiceName) -> Option<&Guard> {
        let mut stops = self.steps.values().filter(|stop| stop.service == *service);
        let guard = stops.next()?.guard.as_ref();
        stops
            .all(|stop| stop.guard.as_ref() == guard)
            .then_some(guard)?
    }
}

impl Up<'_> {
    /// Stops a container that runs, after `after`; returns the step after which it does not run.
    pub(super) fn stop(
        &mut self,
        container: &ObservedContainer,
        cause: &Cause,
        after: &[StepId],
        guard: Option<&Guard>,
    ) -> Option<StepId> {
        if !container.is_alive() {
            return None;
        }
        if let Some(stop) = self.stops.of(&container.name) {
            return Some(stop);
        }
        let mut before = after.to_vec();
        let mut first = None;
        for (index, hook) in stored::pre_stop(container).into_iter().enumerate() {
            let action = Action::RunHook {
                container: container.name.clone(),
                stage: HookStage::PreStop,
                index,
                hook: Box::new(hook),
            };
            let step = self.sketch.add(
                action,
                Cause::Hook {
                    stage: HookStage::PreStop,
                },
                before,
            );
            first.get_or_insert(step);
            before = vec![step];
            self.guarded(step, guard);
        }
        let action = stop_action(container, self.options.stop_grace);
        let last = self.sketch.add(action, cause.clone(), before);
        self.guarded(last, guard);
        self.stops.steps.insert(
            container.name.clone(),
            Stop {
                service: container.service.clone(),
                first: first.unwrap_or(last),
                last,
                guard: guard.cloned(),
            },
        );
        Some(last)
    }

    /// Stops and removes a container; returns the step after which its name is free.
    pub(super) fn remove(&mut self, container: &ObservedContainer, cause: &Cause) -> StepId {
        let stopped = self.stop(container, cause, &[], None);
        let action = Action::RemoveContainer {
            name: container.name.clone(),
            volumes: AnonymousVolumes::Keep,
        };
        let step = self.sketch.add(action, cause.clone(), stopped);
        self.gone.insert(container.name.clone(), step);
        step
    }

    /// Whether a dependency that this service restarts with is stopped by the plan.
    pub(super) fn restarts_with_dependency(&self, service: &DesiredService) -> bool {
        service
            .dependencies
            .iter()
            .any(|(name, needs)| needs.restart && !self.stops.of_service(name).is_empty())
    }

    /// Stops a running container because what it restarts with stops; returns the guard of that.
    pub(super) fn restart_with_dependencies(
        &mut self,
        service: &DesiredService,
        there: &ObservedContainer,
    ) -> Option<Guard> {
        let stopping = service
            .dependencies
            .iter()
            .find(|(name, needs)| needs.restart && !self.stops.of_service(name).is_empty());
        let (dependency, _) = stopping?;
        let guard = self.stops.guard_of_service(dependency).cloned();
        let cause = Cause::DependencyRestarts {
            service: dependency.clone(),
        };
        self.stop(there, &cause, &[], guard.as_ref());
        self.stop_before_dependencies(service, &there.name);
        guard
    }

    /// Who restarts with a dependency stops before it does.
    pub(super) fn stop_before_dependencies(
        &mut self,
        service: &DesiredService,
        container: &ContainerName,
    ) {
        let Some(stopped) = self.stops.of(container) else {
            return;
        };
        for (name, _) in service
            .dependencies
            .iter()
            .filter(|(_, needs)| needs.restart)
        {
            for first in self.stops.of_service(name) {
                self.after(first, [stopped]);
            }
        }
    }

    pub(super) fn guarded(&mut self, step: StepId, guard: Option<&Guard>) {
        if let Some(guard) = guard {
            self.sketch.guard(step, guard);
        }
    }
}

fn stop_action(container: &ObservedContainer, grace: Option<Duration>) -> Action {
    Action::StopContainer {
        name: container.name.clone(),
        signal: None,
        grace,
    }
}
