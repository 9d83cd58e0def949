//! One service: its replicas are matched by number, made, changed, replaced, started.

use super::{
    Up,
    replica::{Fate, Verdict},
    replicas,
};
use crate::desired::{ContainerSpec, DesiredService, EndpointSpec, HookSpec, HookStage};
use crate::observed::{ObservedContainer, RunState};
use crate::plan::{
    Action, AnonymousVolumes, Cause, FieldChange, Guard, Renew, StartMode, StepId, stored,
};
use crate::value::{ContainerName, ServiceName};

/// A replica on its way: the steps that it has come through.
struct Way<'a> {
    spec: &'a ContainerSpec,
    /// The steps after which it can start.
    before_start: Vec<StepId>,
    guard: Option<Guard>,
    group: Option<String>,
    /// Whether it is a new container.
    is_new: bool,
}

impl<'a> Up<'a> {
    pub(super) fn service(&mut self, name: &ServiceName) {
        let Some(service) = self.desired.services.get(name) else {
            return;
        };
        let existing = replicas(self.observed, name, &self.gone);
        let mut fates = Vec::new();
        for spec in &service.replicas {
            let there = existing
                .iter()
                .find(|there| there.number == spec.number)
                .map(|there| (*there, self.settle_name(there)));
            fates.push(self.replica(service, spec, there));
        }
        if let Some(timeout) = self.waits_for_ready()
            && self.options.start == StartMode::Start
        {
            for fate in &fates {
                self.wait_until_ready(fate, timeout);
            }
        }
        self.fates.insert(name.clone(), fates);
    }

    /// Finishes a replacement that was interrupted: a container that has a temporary name while its
    /// own is free gets it.
    fn settle_name(&mut self, container: &ObservedContainer) -> Option<StepId> {
        let to = stored::final_name(container);
        (to != container.name).then(|| self.rename_leftover(container, to))
    }

    /// Whatever happens to it under its temporary name happens before.
    fn rename_leftover(&mut self, container: &ObservedContainer, to: ContainerName) -> StepId {
        let plugs = self.unplugged.remove(&container.name);
        let stopped = self.stops.of(&container.name);
        let after: Vec<StepId> = plugs
            .iter()
            .flat_map(|plugs| plugs.values())
            .copied()
            .chain(stopped)
            .collect();
        self.unplugged
            .extend(plugs.map(|plugs| (to.clone(), plugs)));
        let action = Action::RenameContainer {
            name: container.name.clone(),
            to,
        };
        self.sketch.add(action, Cause::Leftover, after)
    }

    fn replica(
        &mut self,
        service: &DesiredService,
        spec: &'a ContainerSpec,
        there: Option<(&'a ObservedContainer, Option<StepId>)>,
    ) -> Fate {
        let Some((there, renamed)) = there else {
            let started = self.create(service, spec);
            return fate(spec, None, (started, None));
        };
        // From here on it has its final name, once it is renamed.
        let current = ObservedContainer {
            name: stored::final_name(there),
            ..there.clone()
        };
        match self.verdict(service, spec, there) {
            Verdict::Recreate { cause, guard } => {
                let (cause, guard) = match self.unplugs(&current) {
                    Some(cause_of_its_own) if guard.is_some() => (cause_of_its_own, None),
                    _ => (cause, guard),
                };
                let because = (cause, guard.clone());
                let started = self.replace(service, spec, (&current, renamed), because);
                fate(
                    spec,
                    Some(there),
                    (started, self.start_guard(there, guard.as_ref())),
                )
            }
            Verdict::Keep { hot } => {
                let kept = self.keep(service, spec, (&current, renamed), hot);
                fate(spec, Some(there), kept)
            }
        }
    }

    /// Makes a container that is not there.
    fn create(&mut self, service: &DesiredService, spec: &'a ContainerSpec) -> Option<StepId> {
        let made = self.add_create(spec, (spec.name.clone(), None), Cause::NotFound);
        let gone = self.gone.get(&spec.name).copied();
        self.after(made, gone);
        let way = Way {
            spec,
            before_start: vec![made],
            guard: None,
            group: None,
            is_new: true,
        };
        self.start(service, way, Cause::Follows(made))
    }

    fn add_create(
        &mut self,
        spec: &ContainerSpec,
        (name, inherit): (ContainerName, Option<ContainerName>),
        cause: Cause,
    ) -> StepId {
        let networks = spec.network.endpoints().iter();
        let networks =
            networks.filter_map(|endpoint| self.networks.get(&endpoint.network).copied());
        let volumes = spec
            .mounts
            .iter()
            .filter_map(|mount| self.mount_step(mount));
        let images = self.images.of(spec);
        let after: Vec<StepId> = networks.chain(volumes).chain(images).collect();
        let action = Action::CreateContainer {
            spec: Box::new(spec.clone()),
            name,
            inherit,
        };
        self.sketch.add(action, cause, after)
    }

    fn mount_step(&self, mount: &crate::desired::MountSpec) -> Option<StepId> {
        match &mount.kind {
            crate::desired::MountKind::Volume(volume) => {
                self.volumes.get(volume.name.as_ref()?).copied()
            }
            crate::desired::MountKind::Bind(_)
            | crate::desired::MountKind::Tmpfs(_)
            | crate::desired::MountKind::Image(_) => None,
        }
    }

    /// Puts a new container in the place of another: made beside it, swapped when everything that
    /// the new one needs is there.
    fn replace(
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
            Renew::Inherit => AnonymousVolumes::Keep,
            Renew::Renew => AnonymousVolumes::Remove,
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
    fn start_guard(&self, old: &ObservedContainer, guard: Option<&Guard>) -> Option<Guard> {
        let is_done = old.exit_code == Some(0) && self.is_one_shot(&old.service);
        guard.filter(|_| old.is_alive() || is_done).cloned()
    }

    /// Why a container is made again whether or not its image changes: the plan takes a network from
    /// it in any case, and nothing else would give it back.
    fn unplugs(&self, there: &ObservedContainer) -> Option<Cause> {
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

    /// Leaves a container in its place, changed where that can be done in place; returns the step
    /// after which it has started, and under which condition, when the plan starts it.
    fn keep(
        &mut self,
        service: &DesiredService,
        spec: &'a ContainerSpec,
        (there, renamed): (&ObservedContainer, Option<StepId>),
        hot: Vec<FieldChange>,
    ) -> (Option<StepId>, Option<Guard>) {
        let mut before_start: Vec<StepId> = renamed.into_iter().collect();
        if !hot.is_empty() {
            let action = Action::UpdateContainer {
                name: there.name.clone(),
                spec: Box::new(spec.clone()),
            };
            before_start.push(self.sketch.add(action, Cause::Changed(hot), renamed));
        }
        before_start.extend(self.plug(spec, there, renamed));
        let guard = self.restart_with_dependencies(service, there);
        if let Some(stopped) = self.stops.of(&there.name) {
            before_start.push(stopped);
            let way = Way {
                spec,
                before_start,
                guard: guard.clone(),
                group: None,
                is_new: false,
            };
            return (self.start(service, way, Cause::Follows(stopped)), guard);
        }
        let idle = Cause::NotRunning {
            state: there.state,
            exit_code: there.exit_code,
        };
        let started = match there.state {
            RunState::Running | RunState::Restarting => None,
            RunState::Exited if there.exit_code == Some(0) && self.is_one_shot(&service.name) => {
                None
            }
            RunState::Paused => {
                let action = Action::UnpauseContainer {
                    name: there.name.clone(),
                };
                Some(self.sketch.add(action, idle, before_start))
            }
            RunState::Created | RunState::Exited | RunState::Removing | RunState::Dead => {
                let way = Way {
                    spec,
                    before_start,
                    guard: None,
                    group: None,
                    is_new: false,
                };
                self.start(service, way, idle)
            }
        };
        (started, None)
    }

    /// Connects a container to networks that it should be on and is not, or that are made again.
    fn plug(
        &mut self,
        spec: &ContainerSpec,
        there: &ObservedContainer,
        renamed: Option<StepId>,
    ) -> Vec<StepId> {
        let plugs = self.unplugged.remove(&there.name).unwrap_or_default();
        let mut steps = Vec::new();
        for endpoint in spec.network.endpoints() {
            let network = endpoint.network.clone();
            let step = match plugs.get(&network) {
                Some(made) => Some(self.connect(
                    there,
                    endpoint,
                    Cause::NetworkRecreated { network },
                    renamed.into_iter().chain([*made]),
                )),
                None => self.reconnect(there, endpoint, renamed),
            };
            steps.extend(step);
        }
        steps
    }

    /// A network that was made again behind our back has another id than the endpoint remembers.
    fn reconnect(
        &mut self,
        there: &ObservedContainer,
        endpoint: &EndpointSpec,
        renamed: Option<StepId>,
    ) -> Option<StepId> {
        let network = endpoint.network.clone();
        let cause = Cause::NotConnected {
            network: network.clone(),
        };
        let made = self.networks.get(&network).copied();
        let Some(plugged) = there.endpoints.get(&network) else {
            return Some(self.connect(there, endpoint, cause, made.into_iter().chain(renamed)));
        };
        let current = self.observed.networks.get(&network);
        let is_stale = current.is_none_or(|current| current.id != plugged.network_id);
        if !is_stale || plugged.network_id.is_empty() {
            return None;
        }
        let action = Action::DisconnectNetwork {
            container: there.name.clone(),
            network,
        };
        let unplugged = self.sketch.add(action, cause.clone(), renamed);
        Some(self.connect(there, endpoint, cause, made.into_iter().chain([unplugged])))
    }

    fn connect(
        &mut self,
        there: &ObservedContainer,
        endpoint: &EndpointSpec,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let container = there.name.clone();
        let action = Action::ConnectNetwork {
            container,
            endpoint: Box::new(endpoint.clone()),
        };
        self.sketch.add(action, cause, after)
    }

    /// Whether a dependency that this service restarts with is stopped by the plan.
    fn restarts_with_dependency(&self, service: &DesiredService) -> bool {
        service
            .dependencies
            .iter()
            .any(|(name, needs)| needs.restart && !self.stops.of_service(name).is_empty())
    }

    /// Stops a running container because what it restarts with stops; returns the guard of that.
    fn restart_with_dependencies(
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
    fn stop_before_dependencies(&mut self, service: &DesiredService, container: &ContainerName) {
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

    /// Starts a container once its dependencies are as it needs them; returns the step after which
    /// it has started, its hooks included.
    fn start(&mut self, service: &DesiredService, way: Way<'a>, cause: Cause) -> Option<StepId> {
        if self.options.start == StartMode::CreateOnly {
            return None;
        }
        let mut before = way.before_start;
        before.extend(self.gates(service));
        let hooks = &way.spec.hooks;
        if way.is_new {
            self.hooks(
                (&way.spec.name, HookStage::PreStart),
                &hooks.pre_start,
                &mut before,
            );
        }
        let action = Action::StartContainer {
            name: way.spec.name.clone(),
            files: way.spec.files.clone(),
        };
        let started = self.sketch.add(action, cause, before);
        self.starts.push((way.spec, started));
        self.guarded(started, way.guard.as_ref());
        if let Some(group) = &way.group {
            self.sketch.group(started, group);
        }
        let mut last = vec![started];
        let first_hook = self.hooks(
            (&way.spec.name, HookStage::PostStart),
            &hooks.post_start,
            &mut last,
        );
        for step in first_hook {
            self.guarded(step, way.guard.as_ref());
        }
        last.first().copied()
    }

    /// Adds hooks one after the other; `before` becomes the last one.
    fn hooks(
        &mut self,
        (container, stage): (&ContainerName, HookStage),
        hooks: &[HookSpec],
        before: &mut Vec<StepId>,
    ) -> Vec<StepId> {
        let mut steps = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let action = Action::RunHook {
                container: container.clone(),
                stage,
                index,
                hook: Box::new(hook.clone()),
            };
            let step = self
                .sketch
                .add(action, Cause::Hook { stage }, before.drain(..));
            before.push(step);
            steps.push(step);
        }
        steps
    }
}

fn fate(
    spec: &ContainerSpec,
    there: Option<&ObservedContainer>,
    (started, guard): (Option<StepId>, Option<Guard>),
) -> Fate {
    Fate {
        service: spec.service.clone(),
        container: spec.name.clone(),
        started,
        guard,
        state: there.map(|there| there.state),
        health: there.map(|there| there.health).unwrap_or_default(),
        exit_code: there.and_then(|there| there.exit_code),
    }
}

/// The name of a replacement until the place is free; it says whom it replaces.
fn temporary_name(old: &ObservedContainer, spec: &ContainerSpec) -> ContainerName {
    let id = old.id.get(..12).unwrap_or(&old.id);
    format!("{id}_{}", spec.name)
        .parse()
        .unwrap_or_else(|_| spec.name.clone())
}
