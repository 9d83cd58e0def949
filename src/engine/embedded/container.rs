//! Containers as records: made, renamed, changed in place and removed.

use std::path::PathBuf;

use jiff::Timestamp;

use super::inner::Inner;
use super::names::Located;
use super::record::{ContainerRecord, new_id};
use crate::desired::ContainerSpec;
use crate::engine::{EngineError, EventKind, Performed};
use crate::plan::AnonymousVolumes;
use crate::runtime::kernel::failpoint;
use crate::runtime::monitor::control::Request;
use crate::runtime::network::nat;
use crate::runtime::store::{Durability, Entry, Fate, make_dir, make_top_dir, remove_tree};
use crate::value::ContainerName;

impl Inner {
    /// Makes a container without starting it: name, addresses, volumes and record, or nothing.
    pub(super) fn create_container(
        &self,
        spec: &ContainerSpec,
        name: &ContainerName,
        inherit: Option<&ContainerName>,
    ) -> Result<Performed, EngineError> {
        super::describe::check_supported(spec)?;
        let id = new_id()
            .map_err(|error| EngineError::act(format!("make container `{name}`"), error))?;
        let located = Located {
            project: spec.project.clone(),
            id: id.clone(),
        };
        let entry = Entry::CreateContainer { id };
        self.journalled(&spec.project, entry, Durability::Cached, || {
            let made = self.make(spec, name, inherit, &located);
            if made.is_err() {
                // The first failure is the one to tell; what cannot be undone now, the journal keeps.
                drop(self.unmake(name, &located));
            }
            made
        })?;
        Ok(Performed::Done)
    }

    fn make(
        &self,
        spec: &ContainerSpec,
        name: &ContainerName,
        inherit: Option<&ContainerName>,
        located: &Located,
    ) -> Result<(), EngineError> {
        let act = |error| EngineError::act(format!("make container `{name}`"), error);
        let dir = self.layout.container(&located.project, &located.id);
        // Until the record names its layers, nothing else keeps them from being pruned.
        let keep = self.store.keep();
        let _keep =
            keep.map_err(|error| EngineError::act(format!("make container `{name}`"), error))?;
        let image = self.image_of(spec)?;
        failpoint::hit("container.create")
            .map_err(|error| EngineError::act(format!("make container `{name}`"), error))?;
        make_top_dir(&self.layout.containers(&located.project)).map_err(act)?;
        make_dir(&dir).map_err(act)?;
        self.take_name(name, located)?;
        let inherited = inherit.map(|old| self.get(old)).transpose()?;
        let volumes = self.prepare_volumes(spec, &image, inherited.as_ref(), &located.id)?;
        let endpoints = self.lease(spec, &located.id)?;
        failpoint::hit("container.record")
            .map_err(|error| EngineError::act(format!("make container `{name}`"), error))?;
        let record = ContainerRecord {
            id: located.id.clone(),
            name: name.clone(),
            created: now(),
            spec: spec.clone(),
            image_id: image.id.to_string(),
            image_config: image.config,
            root: image.root,
            volumes,
            endpoints,
        };
        self.keep_files(&record, &record.spec.files)?;
        record
            .write(&self.layout, Durability::Cached)
            .map_err(act)?;
        self.append_event(&record, &EventKind::Create, &[]);
        Ok(())
    }

    /// Takes back whatever [`Inner::make`] did before it failed.
    fn unmake(&self, name: &ContainerName, located: &Located) -> Result<(), EngineError> {
        self.free_name(name, located)?;
        self.discard_unmade(located)
    }

    /// Removes the volumes and folders of a container that never got a record.
    pub(super) fn discard_unmade(&self, located: &Located) -> Result<(), EngineError> {
        self.remove_volumes_made_for(&located.id)?;
        self.discard(located)
    }

    /// Removes all of a container without a record but its volumes, which may have outlived it on purpose.
    pub(super) fn discard(&self, located: &Located) -> Result<(), EngineError> {
        self.end_unrecorded(located);
        let removed = self
            .release_unrecorded(&located.id)
            .and_then(|()| remove_tree(&self.layout.container_run(&located.id)))
            .and_then(|()| remove_tree(&self.layout.container(&located.project, &located.id)));
        removed
            .map_err(|error| EngineError::act(format!("remove container `{}`", located.id), error))
    }

    /// Removes a container that does not run, and all that is its own; one that is gone is fine.
    pub(super) fn remove_container(
        &self,
        name: &ContainerName,
        volumes: AnonymousVolumes,
    ) -> Result<Performed, EngineError> {
        let Some(record) = self.find(name)? else {
            return Ok(Performed::Done);
        };
        let entry = Entry::RemoveContainer {
            id: record.id.clone(),
            anonymous_volumes: match volumes {
                AnonymousVolumes::Keep => Fate::Kept,
                AnonymousVolumes::Remove => Fate::Removed,
            },
        };
        let project = record.spec.project.clone();
        self.journalled(&project, entry, Durability::Cached, || {
            self.erase(&record, volumes)
        })?;
        Ok(Performed::Done)
    }

    /// Removes the container of a hook, with the volumes that its own image asked for and none of those it shared.
    pub(super) fn remove_hook(&self, name: &ContainerName) -> Result<(), EngineError> {
        let Some(record) = self.find(name)? else {
            return Ok(());
        };
        let _removed = self.remove_container(name, AnonymousVolumes::Keep)?;
        self.remove_volumes_made_for(&record.id)
    }

    /// Removes all of a container, in an order that can be taken up again at any point.
    pub(super) fn erase(
        &self,
        record: &ContainerRecord,
        volumes: AnonymousVolumes,
    ) -> Result<(), EngineError> {
        let name = &record.name;
        let io = |error| EngineError::act(format!("remove container `{name}`"), error);
        self.end_by_force(record)?;
        let left = self.state(record)?;
        // A monitor that could record the end has taken its ports back before.
        if !left.ports.is_empty() {
            self.withdraw_ports(record)?;
        }
        self.append_event(record, &EventKind::Destroy, &[]);
        self.release(&record.endpoints)?;
        failpoint::hit("container.remove")
            .map_err(|error| EngineError::act(format!("remove container `{name}`"), error))?;
        if let Some(left) = left.container {
            left.cgroup
                .remove()
                .map_err(|error| EngineError::act(format!("remove container `{name}`"), error))?;
        }
        if volumes == AnonymousVolumes::Remove {
            for volume in record.volumes.iter().filter(|volume| volume.anonymous) {
                self.remove_volume_of(record, &volume.name)?;
            }
        }
        let located = Located {
            project: record.spec.project.clone(),
            id: record.id.clone(),
        };
        self.free_name(name, &located)?;
        self.free_name(&record.spec.name, &located)?;
        remove_tree(&self.layout.container_run(&record.id)).map_err(io)?;
        // The record goes first of its folder: without it the rest is rubbish, and known as such.
        let dir = self.folder(record);
        remove_tree(&dir.join("record.json")).map_err(io)?;
        remove_tree(&dir).map_err(io)
    }

    /// Takes back what the kernel leads to a container whose monitor could not do so any more.
    pub(super) fn withdraw_ports(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        if self.holder.is_some() || record.spec.ports.is_empty() {
            return Ok(());
        }
        let act = || format!("take back the ports of container `{}`", record.name);
        let withdrawn = nat::lead_ports(&record.id, &[]);
        withdrawn
            .map(drop)
            .map_err(|error| EngineError::act(act(), error))
    }

    /// Gives a container another name; one that has it already is fine.
    pub(super) fn rename_container(
        &self,
        name: &ContainerName,
        to: &ContainerName,
    ) -> Result<Performed, EngineError> {
        let Some(record) = self.find(name)? else {
            // Renamed before a crash: then the new name leads to it.
            let _renamed = self.get(to)?;
            return Ok(Performed::Done);
        };
        let _turn = self.turns.take(&record.id);
        let mut record = self.get(name)?;
        let located = Located {
            project: record.spec.project.clone(),
            id: record.id.clone(),
        };
        self.take_name(to, &located)?;
        record.name = to.clone();
        self.rewrite(&record)?;
        self.free_name(name, &located)?;
        self.append_event(
            &record,
            &EventKind::Rename,
            &[("oldName", name.to_string())],
        );
        Ok(Performed::Done)
    }

    /// Changes in place what can be changed in place.
    pub(super) fn update_container(
        &self,
        name: &ContainerName,
        spec: &ContainerSpec,
    ) -> Result<Performed, EngineError> {
        let id = self.get(name)?.id;
        let _turn = self.turns.take(&id);
        let mut record = self.get(name)?;
        record.spec = spec.clone();
        let entry = Entry::UpdateContainer { id };
        self.journalled(&spec.project, entry, Durability::Cached, || {
            self.rewrite(&record)
        })?;
        Ok(Performed::Done)
    }

    /// Tells a container's monitor of a changed record, if it has one, and stores the record.
    ///
    /// In this order: what the record says already, no plan ever asks for again.
    pub(super) fn rewrite(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        let failed = |error| EngineError::act(format!("change container `{}`", record.name), error);
        // One that lost its monitor gets another, which begins with the bundle as it is now.
        if self.is_watched(&record.id) || self.state(record)?.has_process_or_pause() {
            self.assemble(record)?.write().map_err(failed)?;
            let _done = self.ask(record, &Request::Reload)?;
        }
        let stored = record.write(&self.layout, Durability::Cached);
        stored.map_err(failed)
    }

    /// Returns a container's folder in the state directory.
    pub(super) fn folder(&self, record: &ContainerRecord) -> PathBuf {
        self.layout.container(&record.spec.project, &record.id)
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}
