//! Containers stop, are killed, freeze, thaw or go, and nothing else changes.

use super::order::{Stopping, selected, stop_all};
use crate::observed::{ObservedContainer, ObservedState, RunState};
use crate::plan::{
    Action, AnonymousVolumes, Cause, Plan, RemoveOptions, StepId, StopOptions, Volumes,
    sketch::Sketch, stored, stored::Relations,
};
use crate::value::{ServiceName, Signal, VolumeName};
use std::collections::BTreeSet;

/// Plans how containers stop, each after those that need it.
pub fn stop(observed: &ObservedState, options: &StopOptions) -> Plan {
    let mut sketch = Sketch::default();
    let containers = selected(observed, &options.services, &mut sketch);
    let relations = Relations::new(observed);
    let stopping = Stopping {
        relations: &relations,
        cause: Cause::Requested,
        grace: options.grace,
    };
    stop_all(&mut sketch, &containers, &stopping);
    sketch.finish()
}

/// Plans how containers that run get a signal.
pub fn kill(observed: &ObservedState, services: &BTreeSet<ServiceName>, signal: Signal) -> Plan {
    let is_alive = |container: &ObservedContainer| container.is_alive();
    each(observed, services, is_alive, |container| {
        Action::KillContainer {
            name: container.name.clone(),
            signal,
        }
    })
}

/// Plans how containers that run freeze.
pub fn pause(observed: &ObservedState, services: &BTreeSet<ServiceName>) -> Plan {
    let is_running = |container: &ObservedContainer| container.state == RunState::Running;
    each(observed, services, is_running, |container| {
        Action::PauseContainer {
            name: container.name.clone(),
        }
    })
}

/// Plans how frozen containers thaw.
pub fn unpause(observed: &ObservedState, services: &BTreeSet<ServiceName>) -> Plan {
    let is_paused = |container: &ObservedContainer| container.state == RunState::Paused;
    each(observed, services, is_paused, |container| {
        Action::UnpauseContainer {
            name: container.name.clone(),
        }
    })
}

fn each(
    observed: &ObservedState,
    services: &BTreeSet<ServiceName>,
    is_meant: impl Fn(&ObservedContainer) -> bool,
    action: impl Fn(&ObservedContainer) -> Action,
) -> Plan {
    let mut sketch = Sketch::default();
    for container in selected(observed, services, &mut sketch) {
        if is_meant(container) {
            sketch.add(action(container), Cause::Requested, []);
        }
    }
    sketch.finish()
}

/// Plans how containers that do not run are removed; with `stop`, those that run stop first.
pub fn remove(observed: &ObservedState, options: &RemoveOptions) -> Plan {
    let mut sketch = Sketch::default();
    let containers = selected(observed, &options.services, &mut sketch);
    let relations = Relations::new(observed);
    let stopped = match &options.stop {
        None => std::collections::BTreeMap::new(),
        Some(stop) => {
            let stopping = Stopping {
                relations: &relations,
                cause: Cause::Requested,
                grace: stop.grace,
            };
            stop_all(&mut sketch, &containers, &stopping)
        }
    };
    for container in containers {
        let after = stopped.get(&container.name).copied();
        if container.is_alive() && after.is_none() {
            continue;
        }
        remove_one(
            &mut sketch,
            container,
            (
                anonymous(container, options.volumes, Some(&options.external)),
                Cause::Requested,
            ),
            after,
        );
    }
    sketch.finish()
}

/// Removes a container that does not run, or not after a step.
pub(super) fn remove_one(
    sketch: &mut Sketch,
    container: &ObservedContainer,
    (volumes, cause): (AnonymousVolumes, Cause),
    after: Option<StepId>,
) -> StepId {
    let action = Action::RemoveContainer {
        name: container.name.clone(),
        volumes,
    };
    sketch.add(action, cause, after)
}

/// What becomes of a container's anonymous volumes: they stay also where the file calls one of them `external`.
pub(super) fn anonymous(
    container: &ObservedContainer,
    volumes: Volumes,
    external: Option<&BTreeSet<VolumeName>>,
) -> AnonymousVolumes {
    let keeps = external.is_some_and(|external| stored::owns_one_of(container, external));
    match volumes {
        Volumes::Remove if !keeps => AnonymousVolumes::Remove,
        Volumes::Remove | Volumes::Keep => AnonymousVolumes::Keep,
    }
}
