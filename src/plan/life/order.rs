//! Stops in reverse order of dependencies: who needs a container stops before it does.

use crate::desired::HookStage;
use crate::observed::{ObservedContainer, ObservedState};
use crate::plan::{Action, Cause, StepId, Warning, sketch::Sketch, stored, stored::Relations};
use crate::value::{ContainerName, Duration, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// The containers of the services that are meant, those of all when none is named.
pub(super) fn selected<'a>(
    observed: &'a ObservedState,
    services: &BTreeSet<ServiceName>,
    sketch: &mut Sketch,
) -> Vec<&'a ObservedContainer> {
    for service in services {
        if observed.replicas(service).next().is_none() {
            sketch.warn(Warning::NoContainer {
                service: service.clone(),
            });
        }
    }
    // A container of `run` is no replica of its service.
    let is_meant = |container: &&ObservedContainer| {
        !container.is_of_run() && (services.is_empty() || services.contains(&container.service))
    };
    observed.containers.values().filter(is_meant).collect()
}

/// How containers are stopped.
pub(super) struct Stopping<'a> {
    pub(super) relations: &'a Relations,
    pub(super) cause: Cause,
    pub(super) grace: Option<Duration>,
}

/// Stops those of the containers that run; returns the step after which each does not.
pub(super) fn stop_all(
    sketch: &mut Sketch,
    containers: &[&ObservedContainer],
    stopping: &Stopping<'_>,
) -> BTreeMap<ContainerName, StepId> {
    let mut stopped = BTreeMap::new();
    // What the dependencies of each service wait for.
    let mut holds: BTreeMap<&ServiceName, BTreeSet<StepId>> = BTreeMap::new();
    for service in stopping.relations.order().iter().rev() {
        let before = holds.remove(service).unwrap_or_default();
        let of_service = containers
            .iter()
            .filter(|container| container.service == *service);
        let mut steps = BTreeSet::new();
        for container in of_service.filter(|container| container.is_alive()) {
            let step = stop_one(sketch, container, stopping, &before);
            stopped.insert(container.name.clone(), step);
            steps.insert(step);
        }
        // Whoever does not run passes on what it would have waited for.
        let held = if steps.is_empty() { before } else { steps };
        for (dependency, _) in stopping.relations.of(service) {
            holds.entry(dependency).or_default().extend(&held);
        }
    }
    stopped
}

fn stop_one(
    sketch: &mut Sketch,
    container: &ObservedContainer,
    stopping: &Stopping<'_>,
    before: &BTreeSet<StepId>,
) -> StepId {
    let mut before: Vec<StepId> = before.iter().copied().collect();
    for (index, hook) in stored::pre_stop(container).into_iter().enumerate() {
        let stage = HookStage::PreStop;
        let name = container.name.clone();
        let action = Action::RunHook {
            container: name,
            stage,
            index,
            hook: Box::new(hook),
        };
        before = vec![sketch.add(action, Cause::Hook { stage }, before)];
    }
    let name = container.name.clone();
    let action = Action::StopContainer {
        name,
        signal: None,
        grace: stopping.grace,
    };
    sketch.add(action, stopping.cause.clone(), before)
}
