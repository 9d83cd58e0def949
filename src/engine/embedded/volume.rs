//! Volumes: made, given to containers, removed; and the directories of the host that are bound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::describe;
use super::inner::Inner;
use super::mend::Damaged;
use super::not_supported;
use super::record::{ContainerRecord, VolumeUse};
use crate::desired::{ContainerSpec, MountKind, VolumeMount, VolumeSpec, label};
use crate::engine::{EngineError, Performed};
use crate::runtime::container::description::MountRequest;
use crate::runtime::image::ImageRecord;
use crate::runtime::monitor::bundle::{BundleVolume, Seeding};
use crate::runtime::store::{Durability, read_json, set_aside, write_json};
use crate::runtime::volume::{self, Missing, VolumeError, VolumeRecord};
use crate::value::{ProjectName, VolumeName};

impl Inner {
    /// Makes a volume; one that is there is left as it is.
    pub(super) fn create_volume(&self, spec: &VolumeSpec) -> Result<Performed, EngineError> {
        let record = record_of(spec);
        let made = match self.volumes.create(&record) {
            Err(VolumeError::Store(error)) if error.is_damage() => {
                // Its data stay, and are this volume's.
                let path = self.volumes.record_file(&record.name);
                let kept = set_aside(&self.layout.damaged(), &path, &error);
                kept.map_err(VolumeError::Store)
                    .and_then(|_| self.volumes.create(&record))
            }
            made => made,
        };
        let _created =
            made.map_err(|error| EngineError::act(format!("make volume `{}`", spec.name), error))?;
        let stored = write_json(&self.volume_spec_file(&spec.name), spec, Durability::Cached);
        stored.map_err(|error| EngineError::act(format!("make volume `{}`", spec.name), error))?;
        Ok(Performed::Done)
    }

    /// Returns the records of all volumes, and the volumes whose record is damaged.
    pub(super) fn look_at_volumes(
        &self,
    ) -> Result<(Vec<VolumeRecord>, Vec<Damaged<String>>), EngineError> {
        let listed = self
            .volumes
            .list()
            .map_err(|error| EngineError::act("list the volumes", error))?;
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        for (name, record) in listed {
            match record {
                Ok(record) => records.push(record),
                Err(error) => damaged.push(Damaged {
                    path: self.volumes.record_file(&name),
                    name,
                    error,
                }),
            }
        }
        Ok((records, damaged))
    }

    /// Returns where it is kept how a volume was wanted: beside its data, to be compared with later.
    fn volume_spec_file(&self, name: &str) -> PathBuf {
        self.layout.volumes().join(name).join("spec.json")
    }

    /// Returns how a volume was wanted; `None` for one that nobody wrote into a file.
    pub(super) fn volume_spec(&self, name: &str) -> Option<serde_json::Value> {
        read_json(&self.volume_spec_file(name)).ok().flatten()
    }

    /// Removes a volume with its data; one that is gone is fine.
    pub(super) fn remove_volume(&self, name: &VolumeName) -> Result<Performed, EngineError> {
        let users = self.users_of(name)?;
        self.volumes
            .remove(name, &users)
            .map_err(|error| remove_error(name, error))?;
        Ok(Performed::Done)
    }

    /// Removes an anonymous volume together with the container that it was made for.
    pub(super) fn remove_volume_of(
        &self,
        owner: &ContainerRecord,
        name: &VolumeName,
    ) -> Result<(), EngineError> {
        let mut users = self.users_of(name)?;
        let own = owner.name.to_string();
        users.retain(|user| *user != own);
        self.volumes
            .remove(name, &users)
            .map_err(|error| remove_error(name, error))?;
        Ok(())
    }

    /// Removes the volumes that were made for a container which never came to be.
    pub(super) fn remove_volumes_made_for(&self, id: &str) -> Result<(), EngineError> {
        let act =
            |error| EngineError::act(format!("remove the volumes of container `{id}`"), error);
        for volume in self.volumes.owned_by(id).map_err(act)? {
            let Ok(name) = volume.name.parse::<VolumeName>() else {
                continue;
            };
            // Somebody may mount it by its name by now.
            if self.users_of(&name)?.is_empty() {
                let _was_there = self.volumes.remove(&name, &[]).map_err(act)?;
            }
        }
        Ok(())
    }

    /// Returns the containers that mount a volume, of whatever project.
    fn users_of(&self, name: &VolumeName) -> Result<Vec<String>, EngineError> {
        let mut users = Vec::new();
        for project in self.project_names()? {
            for record in self.records(&project)? {
                if record.volumes.iter().any(|volume| volume.name == *name) {
                    users.push(record.name.to_string());
                }
            }
        }
        Ok(users)
    }

    /// Makes the anonymous volumes of a container, or takes over those of the one it replaces.
    pub(super) fn prepare_volumes(
        &self,
        spec: &ContainerSpec,
        image: &ImageRecord,
        inherited: Option<&ContainerRecord>,
        id: &str,
    ) -> Result<Vec<VolumeUse>, EngineError> {
        let mut uses = Vec::new();
        for mount in &spec.mounts {
            let MountKind::Volume(volume) = &mount.kind else {
                continue;
            };
            uses.push(match &volume.name {
                Some(name) => self.use_named(name, &mount.target)?,
                None => self.use_anonymous(spec, &mount.target, inherited, id)?,
            });
        }
        let is_mounted = |target: &str| {
            spec.mounts
                .iter()
                .any(|mount| same_path(&mount.target, target))
        };
        for target in &image.config.volumes {
            if !is_mounted(target) {
                uses.push(self.use_anonymous(spec, target, inherited, id)?);
            }
        }
        Ok(uses)
    }

    fn use_named(&self, name: &VolumeName, target: &str) -> Result<VolumeUse, EngineError> {
        let found = self.volumes.find(name);
        let found =
            found.map_err(|error| EngineError::act(format!("find volume `{name}`"), error))?;
        if found.is_none() {
            return Err(EngineError::VolumeNotFound { name: name.clone() });
        }
        Ok(VolumeUse {
            target: target.to_owned(),
            name: name.clone(),
            anonymous: false,
        })
    }

    fn use_anonymous(
        &self,
        spec: &ContainerSpec,
        target: &str,
        inherited: Option<&ContainerRecord>,
        id: &str,
    ) -> Result<VolumeUse, EngineError> {
        let before = inherited.into_iter().flat_map(|record| &record.volumes);
        let mut before =
            before.filter(|volume| volume.anonymous && same_path(&volume.target, target));
        if let Some(volume) = before.next() {
            return Ok(volume.clone());
        }
        let act = |error| EngineError::act(format!("make a volume for `{target}`"), error);
        let name = volume::anonymous_name().map_err(act)?;
        let record = labelled(name.clone(), &spec.project, id);
        let _created = self.volumes.create(&record).map_err(act)?;
        let name = name
            .parse()
            .map_err(|error| EngineError::act(format!("make a volume for `{target}`"), error))?;
        Ok(VolumeUse {
            target: target.to_owned(),
            name,
            anonymous: true,
        })
    }

    /// Makes the anonymous volumes of a container again that are gone.
    ///
    /// A power cut in the middle of its removal can lose them and leave its record.
    pub(super) fn restore_anonymous_volumes(
        &self,
        record: &ContainerRecord,
    ) -> Result<(), EngineError> {
        for used in record.volumes.iter().filter(|used| used.anonymous) {
            if self.volume_dir(&used.name).is_dir() {
                continue;
            }
            let volume = labelled(used.name.to_string(), &record.spec.project, &record.id);
            let made = self.volumes.create(&volume);
            let _created = made.map_err(|error| {
                EngineError::act(format!("make volume `{}` again", used.name), error)
            })?;
        }
        Ok(())
    }

    /// Says how a container's volume is mounted, and which one it is.
    pub(super) fn volume_mount(
        &self,
        record: &ContainerRecord,
        mount: &VolumeMount,
        target: &str,
        read_only: bool,
    ) -> Result<(MountRequest, BundleVolume), EngineError> {
        let used = record
            .volumes
            .iter()
            .find(|volume| same_path(&volume.target, target));
        let Some(used) = used else {
            let name = mount.name.clone();
            let name = name.or_else(|| "anonymous".parse().ok());
            return Err(name.map_or_else(
                || not_supported(format!("mount `{target}`")),
                |name| EngineError::VolumeNotFound { name },
            ));
        };
        let request = describe::own_bind(self.volume_dir(&used.name), target, read_only, &[]);
        let volume = BundleVolume {
            name: used.name.to_string(),
            target: target.into(),
            subpath: mount.subpath.as_ref().map(Into::into),
            seeding: if mount.nocopy {
                Seeding::Never
            } else {
                Seeding::FirstUse
            },
        };
        Ok((request, volume))
    }
}

/// Makes the source of a bind mount where the file wants that, or says that it is missing.
pub(super) fn prepare_bind(record: &ContainerRecord, kind: &MountKind) -> Result<(), EngineError> {
    let MountKind::Bind(bind) = kind else {
        return Ok(());
    };
    let missing = if bind.create_host_path {
        Missing::Create
    } else {
        Missing::Refuse
    };
    let prepared = volume::prepare_bind(&bind.source, missing);
    let _created = prepared.map_err(|error| {
        EngineError::act(format!("mount into container `{}`", record.name), error)
    })?;
    Ok(())
}

/// Reports whether two paths inside a container are written differently but are the same.
pub(super) fn same_path(one: &str, other: &str) -> bool {
    Path::new(one)
        .components()
        .eq(Path::new(other).components())
}

/// Returns what is recorded of a volume of the file.
pub(super) fn record_of(spec: &VolumeSpec) -> VolumeRecord {
    let driver = spec.driver.clone().filter(|driver| !driver.is_empty());
    VolumeRecord {
        name: spec.name.to_string(),
        driver: driver.unwrap_or_else(|| "local".to_owned()),
        options: spec.driver_opts.clone(),
        labels: spec.labels.clone(),
        owner: None,
        created: Some(now()),
    }
}

/// Returns what is recorded of a volume that one container gets without a name.
///
/// Its project stays known when the container is gone: `down --volumes` removes it then.
pub(super) fn labelled(name: String, project: &ProjectName, container: &str) -> VolumeRecord {
    VolumeRecord {
        name,
        driver: "local".to_owned(),
        options: BTreeMap::new(),
        labels: BTreeMap::from([(label::PROJECT.to_owned(), project.to_string())]),
        owner: Some(container.to_owned()),
        created: Some(now()),
    }
}

fn remove_error(name: &VolumeName, error: VolumeError) -> EngineError {
    EngineError::act(format!("remove volume `{name}`"), error)
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}
