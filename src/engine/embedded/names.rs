//! Which container has which name: one file per name, made exclusively, so that a name is unique.
//!
//! **Invariant:** a name is taken and given back with the folder of all names locked. Otherwise two
//! that find a name of a container which is gone would both take it, the second from the first.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::inner::Inner;
use super::record::{ContainerRecord, folders};
use crate::engine::EngineError;
use crate::runtime::store::{
    Exclusive, FileLock, lock_dir, make_dir, read_json, remove_tree, write_json_exclusively,
};
use crate::value::{ContainerName, ProjectName};

/// Where a container lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Located {
    /// Its project.
    pub(super) project: ProjectName,
    /// Its id.
    pub(super) id: String,
}

impl Inner {
    fn name_file(&self, name: &ContainerName) -> PathBuf {
        self.layout.container_names().join(name.as_str())
    }

    /// Takes a name for a container, or says who has it; a name of a container that is gone is free.
    pub(super) fn take_name(
        &self,
        name: &ContainerName,
        owner: &Located,
    ) -> Result<(), EngineError> {
        let failed = |error| EngineError::act(format!("note the name `{name}`"), error);
        make_dir(&self.layout.container_names()).map_err(failed)?;
        let _alone = lock_dir(&self.layout.container_names()).map_err(failed)?;
        let path = self.name_file(name);
        let taken = |project| EngineError::NameTaken {
            name: name.clone(),
            project,
        };
        // A file that was torn by a power cut gives the name to nobody.
        match read_json::<Located>(&path).ok().flatten() {
            Some(current) if current == *owner => return Ok(()),
            Some(other) if self.keeps_its_name(&other) => return Err(taken(Some(other.project))),
            Some(_) | None => remove_tree(&path).map_err(failed)?,
        }
        match write_json_exclusively(&path, owner).map_err(failed)? {
            Exclusive::Written => Ok(()),
            Exclusive::Taken => Err(taken(None)),
        }
    }

    /// Reports whether a container is there, or is being made: the record comes last.
    fn keeps_its_name(&self, owner: &Located) -> bool {
        let dir = self.layout.container(&owner.project, &owner.id);
        let is_at_work = || FileLock::is_held(&self.layout.lock(&owner.project));
        dir.join("record.json").exists() || (dir.exists() && is_at_work())
    }

    /// Gives a name back, if this container has it.
    pub(super) fn free_name(
        &self,
        name: &ContainerName,
        owner: &Located,
    ) -> Result<(), EngineError> {
        let failed = |error| EngineError::act(format!("free the name `{name}`"), error);
        let _alone = lock_dir(&self.layout.container_names()).map_err(failed)?;
        let path = self.name_file(name);
        let current = read_json::<Located>(&path).ok().flatten();
        if current.as_ref().is_some_and(|current| current != owner) {
            return Ok(());
        }
        remove_tree(&path).map_err(failed)
    }

    /// Returns what the file of a name says.
    pub(super) fn located(&self, name: &ContainerName) -> Result<Option<Located>, EngineError> {
        match read_json(&self.name_file(name)) {
            // Torn by a power cut: nobody has the name.
            Err(error) if error.is_damage() => Ok(None),
            other => {
                other.map_err(|error| EngineError::act(format!("find container `{name}`"), error))
            }
        }
    }

    /// Finds a container by its name.
    pub(super) fn find(
        &self,
        name: &ContainerName,
    ) -> Result<Option<ContainerRecord>, EngineError> {
        let failed = |error| EngineError::act(format!("find container `{name}`"), error);
        let Some(located) = self.located(name)? else {
            return Ok(None);
        };
        let dir = self.layout.container(&located.project, &located.id);
        let record = ContainerRecord::find(&dir).map_err(failed)?;
        Ok(record.filter(|record| record.name == *name))
    }

    /// Finds a container by its name, or says that there is none.
    pub(super) fn get(&self, name: &ContainerName) -> Result<ContainerRecord, EngineError> {
        self.find(name)?
            .ok_or_else(|| EngineError::ContainerNotFound { name: name.clone() })
    }

    /// Returns the records of all containers of a project; one that cannot be read is left out.
    pub(super) fn records(
        &self,
        project: &ProjectName,
    ) -> Result<Vec<ContainerRecord>, EngineError> {
        let dir = self.layout.containers(project);
        let failed = |error| EngineError::act(format!("list the containers of `{project}`"), error);
        let mut records = Vec::new();
        for id in folders(&dir).map_err(failed)? {
            if let Ok(Some(record)) = ContainerRecord::find(&dir.join(id)) {
                records.push(record);
            }
        }
        Ok(records)
    }
}
