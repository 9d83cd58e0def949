//! Containers that are there start, each when what it needs is as it needs it.

use super::order::{Stopping, selected, stop_all};
use crate::desired::{Condition, Dependency, DesiredState, HookStage, InjectedFile};
use crate::observed::{Health, ObservedContainer, ObservedState, OneOff, RunState};
use crate::plan::{
    Action, Cause, Dependencies, Occasion, Plan, StartOptions, StepId, StopOptions, Until, WaitFor,
    sketch::Sketch, stored, stored::Relations,
};
use crate::value::{ContainerName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Plans how containers that do not run start, and those of services that they depend on. The file is needed for
/// secrets and configs whose bytes are nowhere else, and says what a service depends on now.
pub fn start(
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &StartOptions,
) -> Plan {
    let mut starting = Starting::new(Occasion::Start, desired, observed);
    let mut meant = replicas(observed, &options.services, &mut starting.sketch);
    meant.extend(starting.idle_dependencies(&options.services));
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
    let mut causes = idle
        .map(|container| (container, not_running(container), None))
        .collect::<Vec<_>>();
    for container in meant.iter().copied().filter(|it| it.is_stopping) {
        let stopped = starting.wait(container, Until::Stopped, (Cause::Stopping, true), None);
        causes.push((container, Cause::Follows(stopped), Some(stopped)));
    }
    starting.in_order(&causes);
    if let WaitFor::Ready { timeout } = options.wait {
        for container in meant {
            starting.wait_until_ready(container, timeout);
        }
    }
    starting.sketch.finish()
}

/// Plans how containers stop and start again, those that do not run included. What they depend on starts where it does
/// not run.
pub fn restart(
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &StopOptions,
) -> Plan {
    let relations = Relations::wanted(desired, observed);
    let mut starting = Starting::new(Occasion::Restart, desired, observed);
    let (services, idle) = match options.dependents {
        Dependencies::Include if !options.services.is_empty() => {
            let services = relations.with_restarting(&options.services);
            let idle = starting.idle_dependencies(&services);
            (services, idle)
        }
        Dependencies::Include | Dependencies::Skip => (options.services.clone(), Vec::new()),
    };
    let containers = replicas(observed, &services, &mut starting.sketch);
    let stopping = Stopping {
        relations: &relations,
        cause: Cause::Requested,
        grace: options.grace,
    };
    let stopped = stop_all(&mut starting.sketch, &containers, &stopping);
    let causes =
        containers
            .into_iter()
            .chain(idle)
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
    occasion: Occasion,
    desired: Option<&'a DesiredState>,
    observed: &'a ObservedState,
    relations: Relations,
    sketch: Sketch,
    /// The step after which a container has started, its hooks included.
    started: BTreeMap<ContainerName, StepId>,
    /// By container, by what is waited for and by whether it may fail.
    waits: BTreeMap<(ContainerName, &'static str, bool), StepId>,
}

impl<'a> Starting<'a> {
    fn new(
        occasion: Occasion,
        desired: Option<&'a DesiredState>,
        observed: &'a ObservedState,
    ) -> Self {
        Self {
            occasion,
            desired,
            observed,
            relations: Relations::wanted(desired, observed),
            sketch: Sketch::default(),
            started: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    /// The containers of what these services depend on that do not run as these need it; those of jobs that have
    /// completed stay as they are. Without a service all are meant already.
    fn idle_dependencies(&self, services: &BTreeSet<ServiceName>) -> Vec<&'a ObservedContainer> {
        let needed = self.relations.needed_by(services);
        let containers = needed.iter().flat_map(|(service, is_job)| {
            let replicas = self.observed.replicas(service);
            replicas.map(move |container| (container, *is_job))
        });
        containers
            .filter(|(container, is_job)| match container.state {
                RunState::Running | RunState::Restarting => false,
                RunState::Exited => !(*is_job && container.exit_code == Some(0)),
                RunState::Paused | RunState::Created | RunState::Removing | RunState::Dead => true,
            })
            .map(|(container, _)| container)
            .collect()
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
        let before = self.before_first_start(container, before);
        let action = Action::StartContainer {
            name: name.clone(),
            files: self.files(container),
            occasion: self.occasion,
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

    /// Runs the hooks before the start of a container that has never started.
    fn before_first_start(
        &mut self,
        container: &ObservedContainer,
        before: Vec<StepId>,
    ) -> Vec<StepId> {
        if container.state != RunState::Created {
            return before;
        }
        let replicas = self.observed.replicas(&container.service);
        let first = replicas.map(|replica| replica.number).min();
        let mut before = before;
        for (index, hook) in stored::pre_start(container).into_iter().enumerate() {
            if !hook.per_replica && first != Some(container.number) {
                continue;
            }
            let stage = HookStage::PreStart;
            let action = Action::RunHook {
                container: container.name.clone(),
                stage,
                index,
                hook: Box::new(hook),
            };
            before = vec![self.sketch.add(action, Cause::Hook { stage }, before)];
        }
        before
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
                gates.extend(self.gate(service, &needs, container));
            }
        }
        gates
    }

    fn gate(
        &mut self,
        service: &ServiceName,
        needs: &Dependency,
        container: &ObservedContainer,
    ) -> Option<StepId> {
        let condition = needs.condition;
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
            place: needs.place.clone(),
        };
        Some(self.wait(container, until, (cause, needs.required), None))
    }

    fn wait(
        &mut self,
        container: &ObservedContainer,
        until: Until,
        (cause, required): (Cause, bool),
        timeout: Option<crate::value::Duration>,
    ) -> StepId {
        let key = (container.name.clone(), until.as_str(), required);
        if let Some(step) = self.waits.get(&key) {
            return *step;
        }
        let name = container.name.clone();
        let action = Action::WaitContainer {
            name,
            until,
            required,
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
        let until = if is_one_shot {
            Until::CompletedSuccessfully
        } else if !is_ready {
            Until::RunningOrHealthy
        } else {
            return;
        };
        self.wait(container, until, (Cause::Requested, true), timeout);
    }
}
