//! Containers that are there start, each when what it needs is as it needs it.

use super::order::{Stopping, selected, stop_all};
use crate::desired::{Condition, Dependency, DesiredState, HookStage, InjectedFile};
use crate::observed::{Health, ObservedContainer, ObservedState, OneOff, RunState};
use crate::plan::{
    Action, Cause, Dependencies, Plan, StartOptions, StepId, StopOptions, Until, WaitFor,
    sketch::Sketch, stored, stored::Relations,
};
use crate::value::{ContainerName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Plans how containers that do not run start. The file is needed only for secrets and configs
/// whose bytes are nowhere else.
pub fn start(
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &StartOptions,
) -> Plan {
    let mut starting = Starting::new(desired, observed);
    let meant = replicas(observed, &options.services, &mut starting.sketch);
    let idle = meant
        .iter()
        .copied()
        .filter(|container| !container.is_alive());
    let frozen = meant
        .iter()
        .copied()
        .filter(|container| container.state == RunState::Paused);
    for container in frozen.collect::<Vec<_>>() {
        let action = Action::UnpauseContainer {
            name: container.name.clone(),
        };
        let cause = not_running(container);
        let step = starting.sketch.add(action, cause, []);
        starting.started.insert(container.name.clone(), step);
    }
    let causes = idle
        .map(|container| (container, not_running(container), None))
        .collect::<Vec<_>>();
    starting.in_order(&causes);
    if let WaitFor::Ready { timeout } = options.wait {
        for container in meant {
            starting.wait_until_ready(container, timeout);
        }
    }
    starting.sketch.finish()
}

/// Plans how containers stop and start again, those that do not run included.
pub fn restart(
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &StopOptions,
) -> Plan {
    let relations = Relations::new(observed);
    let services = match options.dependents {
        Dependencies::Include if !options.services.is_empty() => {
            relations.with_restarting(&options.services)
        }
        Dependencies::Include | Dependencies::Skip => options.services.clone(),
    };
    let mut starting = Starting::new(desired, observed);
    let containers = replicas(observed, &services, &mut starting.sketch);
    let stopping = Stopping {
        relations: &relations,
        cause: Cause::Requested,
        grace: options.grace,
    };
    let stopped = stop_all(&mut starting.sketch, &containers, &stopping);
    let causes = containers
        .into_iter()
        .map(|container| match stopped.get(&container.name) {
            Some(step) => (container, Cause::Follows(*step), Some(*step)),
            None => (container, not_running(container), None),
        });
    starting.in_order(&causes.collect::<Vec<_>>());
    starting.sketch.finish()
}

fn not_running(container: &ObservedContainer) -> Cause {
    Cause::NotRunning {
        state: container.state,
        exit_code: container.exit_code,
    }
}

fn replicas<'a>(
    observed: &'a ObservedState,
    services: &BTreeSet<ServiceName>,
    sketch: &mut Sketch,
) -> Vec<&'a ObservedContainer> {
    let containers = selected(observed, services, sketch).into_iter();
    containers
        .filter(|container| container.oneoff == OneOff::No)
        .collect()
}

/// A container that starts, why, and the step after which it does not run.
type Start<'a> = (&'a ObservedContainer, Cause, Option<StepId>);

struct Starting<'a> {
    desired: Option<&'a DesiredState>,
    observed: &'a ObservedState,
    relations: Relations,
    sketch: Sketch,
    /// The step after which a container has started, its hooks included.
    started: BTreeMap<ContainerName, StepId>,
    waits: BTreeMap<(ContainerName, &'static str), StepId>,
}

impl<'a> Starting<'a> {
    fn new(desired: Option<&'a DesiredState>, observed: &'a ObservedState) -> Self {
        Self {
            desired,
            observed,
            relations: Relations::new(observed),
            sketch: Sketch::default(),
            started: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    fn in_order(&mut self, starts: &[Start<'a>]) {
        for service in self.relations.order().to_vec() {
            let gates = self.gates(&service, starts);
            for (container, cause, stopped) in starts {
                if container.service == service {
                    let before = gates.iter().copied().chain(*stopped).collect();
                    self.start(container, cause.clone(), before);
                }
            }
        }
    }

    fn start(&mut self, container: &ObservedContainer, cause: Cause, before: Vec<StepId>) {
        let name = container.name.clone();
        let action = Action::StartContainer {
            name: name.clone(),
            files: self.files(container),
        };
        let mut last = self.sketch.add(action, cause, before);
        for (index, hook) in stored::post_start(container).into_iter().enumerate() {
            let stage = HookStage::PostStart;
            let container = name.clone();
            let action = Action::RunHook {
                container,
                stage,
                index,
                hook: Box::new(hook),
            };
            last = self.sketch.add(action, Cause::Hook { stage }, [last]);
        }
        self.started.insert(name, last);
    }

    /// The file's secrets where they are those that the container was made with, else their names.
    fn files(&self, container: &ObservedContainer) -> Vec<InjectedFile> {
        let stored = stored::files(container);
        let service = self
            .desired
            .and_then(|desired| desired.services.get(&container.service));
        let wanted = service
            .and_then(|service| service.replicas.first())
            .map(|spec| &spec.files);
        let with_bytes = |file: InjectedFile| {
            let same = |other: &&InjectedFile| {
                (&other.target, &other.digest) == (&file.target, &file.digest)
            };
            wanted
                .into_iter()
                .flatten()
                .find(same)
                .cloned()
                .unwrap_or(file)
        };
        stored.into_iter().map(with_bytes).collect()
    }

    /// What must have happened before containers of a service start.
    fn gates(&mut self, service: &ServiceName, starts: &[Start<'_>]) -> Vec<StepId> {
        if !starts
            .iter()
            .any(|(container, ..)| container.service == *service)
        {
            return Vec::new();
        }
        let needs: Vec<(ServiceName, Dependency)> = self
            .relations
            .of(service)
            .map(|(name, needs)| (name.clone(), needs.clone()))
            .collect();
        let mut gates = Vec::new();
        for (name, needs) in needs {
            for container in self.observed.replicas(&name) {
                gates.extend(self.gate(service, needs.condition, container));
            }
        }
        gates
    }

    fn gate(
        &mut self,
        service: &ServiceName,
        condition: Condition,
        container: &ObservedContainer,
    ) -> Option<StepId> {
        let started = self.started.get(&container.name).copied();
        let is_done = container.state == RunState::Exited && container.exit_code == Some(0);
        let until = match condition {
            Condition::ServiceStarted => return started,
            _ if started.is_none() && !container.is_alive() && !is_done => return None,
            Condition::ServiceHealthy
                if started.is_none() && container.health == Health::Healthy =>
            {
                return None;
            }
            Condition::ServiceHealthy => Until::Healthy,
            Condition::ServiceCompletedSuccessfully if started.is_none() && is_done => return None,
            Condition::ServiceCompletedSuccessfully => Until::CompletedSuccessfully,
        };
        let service = service.clone();
        let cause = Cause::NeededBy {
            service,
            condition,
            place: None,
        };
        Some(self.wait(container, until, cause, None))
    }

    fn wait(
        &mut self,
        container: &ObservedContainer,
        until: Until,
        cause: Cause,
        timeout: Option<crate::value::Duration>,
    ) -> StepId {
        let key = (container.name.clone(), until.as_str());
        if let Some(step) = self.waits.get(&key) {
            return *step;
        }
        let name = container.name.clone();
        let action = Action::WaitContainer {
            name,
            until,
            required: true,
            timeout,
        };
        let after = self.started.get(&container.name).copied();
        let step = self.sketch.add(action, cause, after);
        self.waits.insert(key, step);
        step
    }

    fn wait_until_ready(
        &mut self,
        container: &ObservedContainer,
        timeout: Option<crate::value::Duration>,
    ) {
        let is_ready = container.state == RunState::Running
            && matches!(container.health, Health::None | Health::Healthy);
        let completes = |(service, needs): (&ServiceName, &Dependency)| {
            *service == container.service
                && needs.condition == Condition::ServiceCompletedSuccessfully
        };
        let order = self.relations.order();
        let is_one_shot = order
            .iter()
            .any(|other| self.relations.of(other).any(completes));
        if is_one_shot {
            self.wait(
                container,
                Until::CompletedSuccessfully,
                Cause::Requested,
                timeout,
            );
        } else if !is_ready {
            self.wait(
                container,
                Until::RunningOrHealthy,
                Cause::Requested,
                timeout,
            );
        }
    }
}
