//! Volumes: missing ones are made; one that differs stays unless the user gives its data up.

use super::{Up, changes, named};
use crate::desired::{MountKind, VolumeSpec};
use crate::observed::ObservedVolume;
use crate::plan::{Action, Cause, Diverged, PlanError, StepId, Warning};
use crate::value::VolumeName;
use std::collections::BTreeSet;

impl<'a> Up<'a> {
    pub(super) fn volumes(&mut self) -> Result<(), PlanError> {
        for spec in self.used_volumes() {
            match self.observed.volumes.get(&spec.name) {
                None if self.desired.external.volumes.contains(&spec.name) => {
                    return Err(PlanError::ExternalVolume {
                        volume: spec.name.clone(),
                    });
                }
                None => {
                    let action = Action::CreateVolume(Box::new(spec.clone()));
                    let made = self.sketch.add(action, Cause::NotFound, []);
                    self.volumes.insert(spec.name.clone(), made);
                }
                Some(_) if self.desired.external.volumes.contains(&spec.name) => {}
                Some(there) => self.existing_volume(spec, there),
            }
        }
        Ok(())
    }

    /// The volumes that the services that are meant use, by name.
    fn used_volumes(&self) -> Vec<&'a VolumeSpec> {
        let mounts = self
            .meant()
            .flat_map(|service| &service.replicas)
            .flat_map(|replica| &replica.mounts);
        let names: BTreeSet<&VolumeName> = mounts
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume(volume) => volume.name.as_ref(),
                MountKind::Bind(_) | MountKind::Tmpfs(_) | MountKind::Image(_) => None,
            })
            .collect();
        let specs = self.desired.volumes.values();
        named(specs.map(|spec| (&spec.name, spec)), &names)
    }

    fn existing_volume(&mut self, spec: &VolumeSpec, there: &ObservedVolume) {
        let volume = spec.name.clone();
        if there.project.as_ref() != Some(&self.desired.project) {
            self.sketch.warn(Warning::UnmanagedVolume { volume });
            return;
        }
        let changes = changes(&there.spec, spec);
        match self.options.diverged_volumes {
            // How it was wanted was lost with the power: nothing says that it differs, and its data stay.
            _ if there.spec.is_null() || changes.is_empty() => {}
            Diverged::Keep => self
                .sketch
                .warn(Warning::VolumeDiverged { volume, changes }),
            Diverged::Recreate => self.recreate_volume(spec, &Cause::Changed(changes)),
        }
    }

    /// Removes every container that mounts it, and makes it again.
    fn recreate_volume(&mut self, spec: &VolumeSpec, cause: &Cause) {
        let mounting = self.observed.containers.values();
        let mounting: Vec<_> = mounting
            .filter(|container| container.volumes.contains(&spec.name))
            .collect();
        let because = Cause::VolumeRecreated {
            volume: spec.name.clone(),
        };
        let before: Vec<StepId> = mounting
            .into_iter()
            .map(|container| self.remove(container, &because))
            .collect();
        let action = Action::RemoveVolume {
            name: spec.name.clone(),
        };
        let removed = self.sketch.add(action, cause.clone(), before);
        let action = Action::CreateVolume(Box::new(spec.clone()));
        let made = self.sketch.add(action, cause.clone(), [removed]);
        for step in [removed, made] {
            self.sketch.group(step, &format!("recreate {}", spec.name));
        }
        self.volumes.insert(spec.name.clone(), made);
    }
}
