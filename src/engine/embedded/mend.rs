//! What cannot be read, set aside; what it described is removed by its marks, or written again.
//!
//! Nothing of this reads a file that an observation does not read anyway, unless it found damage.

use std::path::{Path, PathBuf};

use super::inner::Inner;
use super::names::Located;
use super::record::{ContainerRecord, Lease, NetworkRecord};
use super::volume::{labelled, record_of};
use crate::desired::VolumeSpec;
use crate::engine::EngineError;
use crate::observed::Damage;
use crate::runtime::container::Container;
use crate::runtime::monitor::control::{self, Request};
use crate::runtime::monitor::state::ContainerState;
use crate::runtime::store::{StoreError, names_in, read_json, remove_tree, set_aside};
use crate::runtime::volume::VolumeRecord;
use crate::value::{NetworkName, ProjectName, Signal, VolumeName};

impl Inner {
    /// Sets the unreadable records of a project aside; its lock must be held.
    ///
    /// Containers and networks without a record are removed by their marks; a volume's data stay.
    pub(super) fn mend(&self, project: &ProjectName) -> Result<Vec<Damage>, EngineError> {
        let act = |error| EngineError::act(format!("tidy up project `{project}`"), error);
        let mut found = Vec::new();
        for id in self.container_ids(project)? {
            let dir = self.layout.container(project, &id);
            if let Err(error) = ContainerRecord::find(&dir) {
                let kept = self.keep_damaged(&dir.join("record.json"), &error);
                found.extend(kept.map_err(act)?);
            }
        }
        self.discard_halves(project)?;
        self.discard_cgroups(project);
        self.mend_networks(project, &mut found)?;
        self.mend_volumes(project, &mut found)?;
        Ok(found)
    }

    /// Moves a file away that cannot be read because of `error`; another kind of error is returned.
    fn keep_damaged(&self, path: &Path, error: &StoreError) -> Result<Option<Damage>, StoreError> {
        if !error.is_damage() {
            return Ok(None);
        }
        let kept = set_aside(&self.layout.damaged(), path, error)?;
        Ok(kept.map(|kept| Damage {
            path: path.to_owned(),
            reason: error.reason(),
            kept: Some(kept),
        }))
    }

    /// Removes what is left of networks without a readable record, unless another project's container runs there.
    fn mend_networks(
        &self,
        project: &ProjectName,
        found: &mut Vec<Damage>,
    ) -> Result<(), EngineError> {
        for Damaged { name, path, .. } in self.look_at_networks()?.1 {
            if self.is_used_by_others(&name, project) {
                continue;
            }
            let dir = self.layout.network(&name);
            // Another command may have mended it since.
            let Err(error) = NetworkRecord::find(&dir) else {
                continue;
            };
            let kept = self.keep_damaged(&path, &error).map_err(|error| {
                EngineError::act(format!("set the record of network `{name}` aside"), error)
            })?;
            self.discard_network(&name)?;
            found.extend(kept);
        }
        Ok(())
    }

    pub(super) fn is_used_by_others(&self, network: &NetworkName, project: &ProjectName) -> bool {
        let dir = self.layout.network(network).join("leases");
        let files = names_in(&dir).unwrap_or_default();
        let leases = files
            .iter()
            .filter_map(|file| read_json::<Lease>(&dir.join(file)).ok().flatten());
        let mut others = leases.filter(|lease| lease.project != *project);
        others.any(|lease| {
            let dir = self.layout.container(&lease.project, &lease.container);
            let state = ContainerState::read(&dir).ok().flatten();
            state.is_some_and(|state| state.as_of_boot(&self.boot_id).has_process_or_pause())
        })
    }

    /// Writes the records of volumes again that cannot be read, where it is known what they said.
    fn mend_volumes(
        &self,
        project: &ProjectName,
        found: &mut Vec<Damage>,
    ) -> Result<(), EngineError> {
        let act = |error| EngineError::act("write the record of a volume again", error);
        let act_on_volume = |error| EngineError::act("write the record of a volume again", error);
        for Damaged { name, path, error } in self.look_at_volumes()?.1 {
            let Some(record) = self.known_volume(&name, project) else {
                continue;
            };
            let kept = self.keep_damaged(&path, &error).map_err(act)?;
            self.volumes.rewrite(&record).map_err(act_on_volume)?;
            found.extend(kept);
        }
        Ok(())
    }

    /// Returns what the record of a volume of this project said, from its spec or the container that it belongs to.
    pub(super) fn known_volume(&self, name: &str, project: &ProjectName) -> Option<VolumeRecord> {
        let spec = self.volume_spec(name);
        let spec: Option<VolumeSpec> = spec.and_then(|spec| serde_json::from_value(spec).ok());
        if let Some(spec) = spec {
            return (spec.project == *project).then(|| record_of(&spec));
        }
        let volume: VolumeName = name.parse().ok()?;
        let containers = self.records(project).ok()?;
        let owner = containers.into_iter().find(|container| {
            let mut volumes = container.volumes.iter();
            volumes.any(|used| used.anonymous && used.name == volume)
        })?;
        Some(labelled(name.to_owned(), project, &owner.id))
    }

    /// Ends what runs of a container without a record, as far as its marks tell.
    pub(super) fn end_unrecorded(&self, located: &Located) {
        let run_dir = self.layout.container_run(&located.id);
        if self.is_watched(&located.id) {
            let stop = Request::Stop {
                signal: Signal::KILL.number(),
                grace_ms: Some(0),
            };
            // A monitor that does not answer is ended by the asking.
            drop(control::ask(&run_dir, &stop));
            drop(control::ask(&run_dir, &Request::Forget));
        }
        let dir = self.layout.container(&located.project, &located.id);
        let state = ContainerState::read(&dir).ok().flatten();
        let state = state.map(|state| state.as_of_boot(&self.boot_id));
        let left = state.and_then(|state| state.container);
        if let Some(Ok(Some(container))) = left.map(|left| Container::adopt(&left)) {
            // What is left now is found by the mark of its cgroup.
            drop(container.kill_all(super::stop::KILL_TIMEOUT_MS));
            drop(container.cgroup().remove());
        }
    }

    /// Gives the addresses of a container back that has no record.
    pub(super) fn release_unrecorded(&self, id: &str) -> Result<(), StoreError> {
        for network in names_in(&self.layout.networks())? {
            let leases = self.layout.network(&network).join("leases");
            remove_tree(&leases.join(format!("{id}.json")))?;
        }
        Ok(())
    }
}

/// A thing whose record cannot be read.
#[derive(Debug)]
pub(super) struct Damaged<N> {
    /// The thing.
    pub(super) name: N,
    /// Its record.
    pub(super) path: PathBuf,
    /// Why it cannot be read.
    pub(super) error: StoreError,
}

impl<N> Damaged<N> {
    /// Says so, before anything is done about it.
    pub(super) fn told(self) -> Damage {
        Damage {
            reason: self.error.reason(),
            path: self.path,
            kept: None,
        }
    }
}
