//! What a crash interrupted, finished or undone by whoever takes the project's lock next.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::inner::Inner;
use super::names::Located;
use super::record::{ContainerRecord, folders};
use crate::engine::EngineError;
use crate::plan::AnonymousVolumes;
use crate::runtime::container::cgroup::{self, Hierarchies, Sought};
use crate::runtime::kernel::sys;
use crate::runtime::monitor::state::ContainerState;
use crate::runtime::store::{Entry, Fate, Journal, Predecessor};
use crate::value::{ContainerName, NetworkName, ProjectName};

/// How long the end of processes that were sent SIGKILL is waited for.
const KILL_TIMEOUT_MS: u64 = 2_000;

impl Inner {
    /// Brings a project to a state that its records describe completely.
    ///
    /// A command that was killed left halves of what it made; one that gave the lock back did not, unless the journal
    /// says so.
    pub(super) fn recover(
        &self,
        project: &ProjectName,
        journal: &mut Journal,
        before: Predecessor,
    ) -> Result<(), EngineError> {
        let pending = journal.pending();
        let may_be_halved =
            before == Predecessor::Unknown || journal.is_torn() || !pending.is_empty();
        for pending in pending {
            self.finish_or_undo(project, &pending.entry)?;
            journal.done(pending.number).map_err(|error| {
                EngineError::act(format!("write the journal of project `{project}`"), error)
            })?;
        }
        if may_be_halved {
            self.discard_halves(project)?;
            self.discard_network_halves()?;
        }
        self.volumes
            .collect()
            .map_err(|error| EngineError::act(format!("tidy up project `{project}`"), error))?;
        self.discard_cgroups(project);
        Ok(())
    }

    /// Removes cgroups of ours whose container is gone, or does not run and is not being started.
    ///
    /// Those of other projects are the business of whoever locks these, unless nobody knows the project
    /// any more. One that cannot be removed now is found again by the next command.
    pub(super) fn discard_cgroups(&self, project: &ProjectName) {
        let (Ok(hierarchies), Ok(territory)) = (Hierarchies::detect(), sys::territory()) else {
            return;
        };
        let Ok(mut others) = self.project_names() else {
            return;
        };
        others.retain(|other| other != project);
        let ours = format!("{}-", self.layout.installation());
        let is_others = |name: &str| others.iter().any(|other| other.as_str() == name);
        // Most containers run: they are asked for once, whatever the number of their cgroups.
        let asked = RefCell::new(BTreeMap::new());
        let is_unwatched = |name: &str| {
            name.strip_prefix(&ours).is_some_and(|id| {
                let mut asked = asked.borrow_mut();
                *asked
                    .entry(id.to_owned())
                    .or_insert_with(|| !self.is_watched(id))
            })
        };
        let sought = Sought {
            projects: &|name| !is_others(name),
            names: &is_unwatched,
        };
        for (name, cgroup) in cgroup::leftovers(&hierarchies, territory, sought) {
            let own = name.rsplit_once('/').map_or(name.as_str(), |(_, own)| own);
            let Some(id) = own.strip_prefix(&ours) else {
                continue;
            };
            if self.is_watched(id) {
                continue;
            }
            let state = ContainerState::read(&self.layout.container(project, id));
            let lives = state
                .ok()
                .flatten()
                .map(|state| state.as_of_boot(&self.boot_id));
            if lives.is_some_and(|state| state.has_process_or_pause()) {
                continue;
            }
            drop(
                cgroup
                    .kill_all(KILL_TIMEOUT_MS)
                    .and_then(|_| cgroup.remove()),
            );
        }
    }

    fn finish_or_undo(&self, project: &ProjectName, entry: &Entry) -> Result<(), EngineError> {
        match entry {
            Entry::CreateNetwork { name } | Entry::RemoveNetwork { name } => {
                self.undo_network(name)
            }
            Entry::CreateContainer { id } => self.undo_container(project, id),
            Entry::UpdateContainer { id } => {
                self.undo_update(project, id);
                Ok(())
            }
            Entry::PlugContainer { id, network } => self.undo_plugging(project, id, network),
            Entry::RemoveContainer {
                id,
                anonymous_volumes,
            } => {
                let volumes = match anonymous_volumes {
                    Fate::Kept => AnonymousVolumes::Keep,
                    Fate::Removed => AnonymousVolumes::Remove,
                };
                self.finish_container_removal(project, id, volumes)
            }
        }
    }

    /// A network that was being made or removed goes; the next plan makes it where it is wanted.
    fn undo_network(&self, name: &str) -> Result<(), EngineError> {
        let Ok(name) = name.parse::<NetworkName>() else {
            return Ok(());
        };
        match self.find_network(&name)? {
            Some(record) if self.is_used(&name)? => {
                let lock = self.lock_addresses()?;
                self.raise_network(&record, &lock).map(drop)
            }
            Some(record) => self.raze_network(&record).map(drop),
            None => self.discard_network(&name),
        }
    }

    fn is_used(&self, name: &NetworkName) -> Result<bool, EngineError> {
        let dir = self.layout.network(name).join("leases");
        let leases = folders(&dir);
        let leases =
            leases.map_err(|error| EngineError::act(format!("read network `{name}`"), error))?;
        Ok(!leases.is_empty())
    }

    fn undo_container(&self, project: &ProjectName, id: &str) -> Result<(), EngineError> {
        let dir = self.layout.container(project, id);
        let record = ContainerRecord::find(&dir).ok().flatten();
        if record.is_some() {
            // The record is the last thing made: with it the container is whole.
            return Ok(());
        }
        self.discard_unmade(&Located {
            project: project.clone(),
            id: id.to_owned(),
        })
    }

    /// Tells the monitor what the record says, whichever of the two was changed last.
    ///
    /// Where that cannot be done the next plan still compares with the record, so that whoever wants
    /// the container changed is told; nobody else needs to know.
    fn undo_update(&self, project: &ProjectName, id: &str) {
        let found = ContainerRecord::find(&self.layout.container(project, id));
        if let Some(record) = found.ok().flatten() {
            drop(self.rewrite(&record));
        }
    }

    fn finish_container_removal(
        &self,
        project: &ProjectName,
        id: &str,
        volumes: AnonymousVolumes,
    ) -> Result<(), EngineError> {
        let dir = self.layout.container(project, id);
        match ContainerRecord::find(&dir).ok().flatten() {
            Some(record) => self.erase(&record, volumes),
            None => self.discard(&Located {
                project: project.clone(),
                id: id.to_owned(),
            }),
        }
    }

    /// Removes what belongs to containers that have no record, and names that no record says.
    pub(super) fn discard_halves(&self, project: &ProjectName) -> Result<(), EngineError> {
        let act = |error| EngineError::act(format!("tidy up project `{project}`"), error);
        let containers = self.layout.containers(project);
        for id in folders(&containers).map_err(act)? {
            if !containers.join(&id).join("record.json").exists() {
                self.discard(&Located {
                    project: project.clone(),
                    id,
                })?;
            }
        }
        for text in folders(&self.layout.container_names()).map_err(act)? {
            let Ok(name) = text.parse::<ContainerName>() else {
                continue;
            };
            let Some(located) = self.located(&name)? else {
                continue;
            };
            // A container has two names while it is renamed: the one that its record does not say goes.
            let is_its_name = || {
                let record = self.record(project, &located.id);
                record.is_some_and(|record| record.name == name)
            };
            if located.project == *project && !is_its_name() {
                self.free_name(&name, &located)?;
            }
        }
        Ok(())
    }

    /// Removes what is left of networks that never got a record, or lost it.
    fn discard_network_halves(&self) -> Result<(), EngineError> {
        let dir = self.layout.networks();
        let names = folders(&dir).map_err(|error| EngineError::act("list the networks", error))?;
        for text in names {
            let Ok(name) = text.parse::<NetworkName>() else {
                continue;
            };
            if !dir.join(&text).join("network.json").exists() {
                self.discard_network(&name)?;
            }
        }
        Ok(())
    }
}
