//! One service: its replicas are matched by number, made, changed, replaced, started.

use super::{
    Up,
    replica::{Fate, Verdict},
    replicas,
    start::Way,
};
use crate::desired::{ContainerSpec, DesiredService};
use crate::observed::ObservedContainer;
use crate::plan::{Action, Cause, Guard, StartMode, StepId, WaitFor};
use crate::value::{ContainerName, ServiceName};
use std::borrow::Cow;

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
        if let WaitFor::Ready { timeout } = self.options.wait
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
        let to = &container.final_name;
        (*to != container.name).then(|| self.rename_leftover(container, to.clone()))
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
        let current = if there.name == there.final_name {
            Cow::Borrowed(there)
        } else {
            Cow::Owned(ObservedContainer {
                name: there.final_name.clone(),
                ..there.clone()
            })
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

    /// Adds the step that makes a container, after all that it is made with.
    pub(super) fn add_create(
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
