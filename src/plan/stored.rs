//! What the containers that are there say about themselves: their spec, hooks and dependencies.

use crate::desired::{
    Condition, ContainerSpec, Dependency, DesiredState, HookSpec, InjectedFile, MountKind,
    MountSpec, label,
};
use crate::graph::Dag;
use crate::observed::{ObservedContainer, ObservedState};
use crate::value::{ServiceName, VolumeName};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// The hooks that run before it is stopped.
pub(super) fn pre_stop(container: &ObservedContainer) -> Vec<HookSpec> {
    part(container, "/hooks/pre_stop").unwrap_or_default()
}

/// The hooks that run before it starts for the first time.
pub(super) fn pre_start(container: &ObservedContainer) -> Vec<HookSpec> {
    part(container, "/hooks/pre_start").unwrap_or_default()
}

/// The hooks that run after it started.
pub(super) fn post_start(container: &ObservedContainer) -> Vec<HookSpec> {
    part(container, "/hooks/post_start").unwrap_or_default()
}

/// The secrets and configs inside, without their bytes.
pub(super) fn files(container: &ObservedContainer) -> Vec<InjectedFile> {
    part(container, "/files").unwrap_or_default()
}

/// The whole spec, where this version can read it.
pub(super) fn spec(container: &ObservedContainer) -> Option<ContainerSpec> {
    part(container, "")
}

/// Whether one of these volumes is an anonymous one of the container, which goes with it.
pub(super) fn owns_one_of(container: &ObservedContainer, volumes: &BTreeSet<VolumeName>) -> bool {
    let mut mounted = container.volumes.intersection(volumes).peekable();
    if mounted.peek().is_none() {
        return false;
    }
    let mounts: Vec<MountSpec> = part(container, "/mounts").unwrap_or_default();
    mounted.any(|name| {
        !mounts.iter().any(|mount| match &mount.kind {
            MountKind::Volume(volume) => volume.name.as_ref() == Some(name),
            MountKind::Bind(_) | MountKind::Tmpfs(_) | MountKind::Image(_) => false,
        })
    })
}

fn part<T: DeserializeOwned>(container: &ObservedContainer, pointer: &str) -> Option<T> {
    T::deserialize(container.spec.to_value().pointer(pointer)?).ok()
}

/// What its service depends on, as its label says.
pub(super) fn dependencies(container: &ObservedContainer) -> BTreeMap<ServiceName, Dependency> {
    let text = container
        .labels
        .get(label::DEPENDS_ON)
        .map(String::as_str)
        .unwrap_or_default();
    text.split(',').filter_map(dependency).collect()
}

/// Reads `db:service_healthy:true`.
fn dependency(text: &str) -> Option<(ServiceName, Dependency)> {
    let (rest, restart) = text.rsplit_once(':')?;
    let (service, condition) = rest.rsplit_once(':')?;
    let condition = match condition {
        "service_healthy" => Condition::ServiceHealthy,
        "service_completed_successfully" => Condition::ServiceCompletedSuccessfully,
        _ => Condition::ServiceStarted,
    };
    let restart = restart == "true";
    let dependency = Dependency {
        condition,
        restart,
        required: true,
        place: None,
    };
    Some((service.parse().ok()?, dependency))
}

/// What the services that are there depend on.
#[derive(Debug)]
pub(super) struct Relations {
    dependencies: BTreeMap<ServiceName, BTreeMap<ServiceName, Dependency>>,
    order: Vec<ServiceName>,
}

impl Relations {
    /// Reads the labels of all containers. Labels of different times may contradict each other;
    /// when they do, no order is known.
    pub(super) fn new(observed: &ObservedState) -> Self {
        Self::wanted(None, observed)
    }

    /// Does the same, and believes the file of services that it has.
    pub(super) fn wanted(desired: Option<&DesiredState>, observed: &ObservedState) -> Self {
        let mut found: BTreeMap<ServiceName, BTreeMap<ServiceName, Dependency>> = BTreeMap::new();
        for container in observed.containers.values() {
            let service = &container.service;
            let needs = match desired.and_then(|desired| desired.services.get(service)) {
                Some(wanted) => wanted.dependencies.clone(),
                None => dependencies(container),
            };
            found.entry(service.clone()).or_default().extend(needs);
        }
        let services: BTreeSet<ServiceName> = found.keys().cloned().collect();
        for needs in found.values_mut() {
            needs.retain(|service, _| services.contains(service));
        }
        let arrows = found.iter().flat_map(|(service, needs)| {
            needs
                .keys()
                .map(move |other| (service.clone(), other.clone(), ()))
        });
        match Dag::new(services.clone(), arrows) {
            Ok(dag) => {
                let order = dag.order().into_iter().cloned().collect();
                Self {
                    dependencies: found,
                    order,
                }
            }
            Err(_) => Self {
                dependencies: BTreeMap::new(),
                order: services.into_iter().collect(),
            },
        }
    }

    /// All services, each after what it depends on.
    pub(super) fn order(&self) -> &[ServiceName] {
        &self.order
    }

    /// What a service depends on.
    pub(super) fn of(
        &self,
        service: &ServiceName,
    ) -> impl Iterator<Item = (&ServiceName, &Dependency)> {
        self.dependencies.get(service).into_iter().flatten()
    }

    /// What these services depend on, over any number of steps and without themselves; and whether it is a job that
    /// they wait for to complete.
    pub(super) fn needed_by(
        &self,
        services: &BTreeSet<ServiceName>,
    ) -> BTreeMap<ServiceName, bool> {
        let mut needed: BTreeMap<ServiceName, bool> = BTreeMap::new();
        let mut open: Vec<&ServiceName> = services.iter().collect();
        while let Some(service) = open.pop() {
            for (other, needs) in self.of(service) {
                let is_job = needs.condition == Condition::ServiceCompletedSuccessfully;
                if !needed.contains_key(other) {
                    open.push(other);
                }
                *needed.entry(other.clone()).or_default() |= is_job;
            }
        }
        needed.retain(|service, _| !services.contains(service));
        needed
    }

    /// `services` and those that restart with them.
    pub(super) fn with_restarting(
        &self,
        services: &BTreeSet<ServiceName>,
    ) -> BTreeSet<ServiceName> {
        let mut all = services.clone();
        for service in &self.order {
            if self
                .of(service)
                .any(|(other, needs)| needs.restart && all.contains(other))
            {
                all.insert(service.clone());
            }
        }
        all
    }
}
