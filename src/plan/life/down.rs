//! A project goes down: everything that it made, in reverse order.

use super::{
    halt::{anonymous, remove_one},
    order::{Stopping, stop_all},
};
use crate::desired::DesiredState;
use crate::observed::{ObservedContainer, ObservedState, OneOff};
use crate::plan::{
    Action, Cause, DownOptions, OrphanPolicy, Plan, RemoveImages, StepId, Volumes, Warning,
    sketch::Sketch, stored::Relations,
};
use crate::value::{ContainerName, ImageRef, ProjectName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Plans how a project goes down. Without a file all of its containers belong to it, and none is
/// an orphan.
pub fn down(
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &DownOptions,
) -> Plan {
    let mut sketch = Sketch::default();
    let containers = going(desired, observed, options, &mut sketch);
    let relations = Relations::new(observed);
    let stopping = Stopping {
        relations: &relations,
        cause: Cause::NotWanted,
        grace: options.stop_grace,
    };
    let stopped = stop_all(&mut sketch, &containers, &stopping);
    let mut removed = BTreeMap::new();
    let external = desired.map(|desired| &desired.external.volumes);
    for container in containers {
        let after = stopped.get(&container.name).copied();
        let step = remove_one(
            &mut sketch,
            container,
            (
                anonymous(container, options.volumes, external),
                Cause::NotWanted,
            ),
            after,
        );
        removed.insert(container.name.clone(), step);
    }
    let owned = Owned {
        desired,
        observed,
        removed: &removed,
    };
    owned.networks(&mut sketch);
    if options.volumes == Volumes::Remove {
        owned.volumes(&mut sketch);
    }
    images(&mut sketch, (desired, observed), options.images, &removed);
    sketch.finish()
}

/// The containers that go: those of services that are meant, and orphans where asked to.
fn going<'a>(
    desired: Option<&DesiredState>,
    observed: &'a ObservedState,
    options: &DownOptions,
    sketch: &mut Sketch,
) -> Vec<&'a ObservedContainer> {
    let is_meant = |service: &ServiceName| match desired {
        _ if !options.services.is_empty() => options.services.contains(service),
        Some(desired) => desired.services.contains_key(service),
        None => true,
    };
    // A container of `run` is no replica of its service: with a file, it goes as an orphan goes.
    let is_orphan = |container: &ObservedContainer| {
        desired.is_some_and(|desired| {
            let service = &container.service;
            container.is_of_run() && !container.is_spent()
                || !desired.services.contains_key(service) && !desired.disabled.contains(service)
        })
    };
    let mut going = Vec::new();
    let mut orphans = Vec::new();
    for container in observed.containers.values() {
        match (is_orphan(container), options.orphans) {
            (false, _) if is_meant(&container.service) => going.push(container),
            (false, _) => {}
            (true, OrphanPolicy::Remove) => going.push(container),
            (true, OrphanPolicy::Warn) if container.oneoff != OneOff::Hook => {
                orphans.push(container.name.clone());
            }
            (true, OrphanPolicy::Warn | OrphanPolicy::Ignore) => {}
        }
    }
    if !orphans.is_empty() {
        sketch.warn(Warning::Orphans {
            containers: orphans,
        });
    }
    going
}

/// What the project made itself: not what others made, nor what the file calls `external`, whatever its labels say.
struct Owned<'a> {
    desired: Option<&'a DesiredState>,
    observed: &'a ObservedState,
    removed: &'a BTreeMap<ContainerName, StepId>,
}

impl Owned<'_> {
    /// Whether the labels of something say that the project made it; without a file all that was looked at is its own.
    fn made(&self, project: Option<&ProjectName>) -> bool {
        match self.desired {
            Some(desired) => project == Some(&desired.project),
            None => project.is_some(),
        }
    }

    /// Removes the networks that no container is on any more.
    fn networks(&self, sketch: &mut Sketch) {
        for network in self.observed.networks.values() {
            let is_external = self
                .desired
                .is_some_and(|desired| desired.external.networks.contains(&network.name));
            if is_external || !self.made(network.project.as_ref()) {
                continue;
            }
            let containers = self.observed.containers.values();
            let on_it = containers.filter(|one| one.endpoints.contains_key(&network.name));
            if let Some(after) = all_removed(on_it, self.removed) {
                if !network.others.is_empty() {
                    sketch.warn(Warning::NetworkInUse {
                        network: network.name.clone(),
                        others: network.others.clone(),
                    });
                    continue;
                }
                let action = Action::RemoveNetwork {
                    name: network.name.clone(),
                };
                sketch.add(action, Cause::NotWanted, after);
            }
        }
    }

    /// Removes the volumes that no container mounts any more.
    fn volumes(&self, sketch: &mut Sketch) {
        for volume in self.observed.volumes.values() {
            let is_external = self
                .desired
                .is_some_and(|desired| desired.external.volumes.contains(&volume.name));
            if is_external || !self.made(volume.project.as_ref()) {
                continue;
            }
            let containers = self.observed.containers.values();
            let mounting = containers.filter(|one| one.volumes.contains(&volume.name));
            // Anonymous volumes go with their containers; those without one are left behind by another.
            if volume.key.is_empty() && mounting.clone().next().is_some() {
                continue;
            }
            if let Some(after) = all_removed(mounting, self.removed) {
                let action = Action::RemoveVolume {
                    name: volume.name.clone(),
                };
                sketch.add(action, Cause::NotWanted, after);
            }
        }
    }
}

/// The steps that remove the containers; nothing when one of them stays.
fn all_removed<'a>(
    containers: impl Iterator<Item = &'a ObservedContainer>,
    removed: &BTreeMap<ContainerName, StepId>,
) -> Option<Vec<StepId>> {
    containers
        .map(|container| removed.get(&container.name).copied())
        .collect()
}

fn images(
    sketch: &mut Sketch,
    (desired, observed): (Option<&DesiredState>, &ObservedState),
    which: RemoveImages,
    removed: &BTreeMap<ContainerName, StepId>,
) {
    let Some(desired) = desired.filter(|_| which != RemoveImages::None) else {
        return;
    };
    let services = desired.services.values();
    let meant = services.filter(|service| match which {
        RemoveImages::None => false,
        RemoveImages::Local => service.built_name.is_some(),
        RemoveImages::All => true,
    });
    let specs = meant.filter_map(|service| service.replicas.first());
    let images: BTreeSet<&ImageRef> = specs.map(|spec| &spec.image.reference).collect();
    for image in images
        .into_iter()
        // What lies in a folder or file of the user's own is no image of ours to remove.
        .filter(|image| !matches!(image, ImageRef::Local(_)))
        .filter(|image| observed.images.contains_key(*image))
    {
        let action = Action::RemoveImage {
            image: image.clone(),
        };
        sketch.add(action, Cause::NotWanted, removed.values().copied());
    }
}
