//! Which container has which name: one file per name, made exclusively, so that a name is unique.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::inner::Inner;
use super::record::{ContainerRecord, folders};
use crate::engine::EngineError;
use crate::runtime::store::{Exclusive, make_dir, read_json, remove_tree, write_json_exclusively};
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
        let path = self.name_file(name);
        for _ in 0..2 {
            let taken = write_json_exclusively(&path, owner).map_err(failed)?;
            if taken == Exclusive::Written {
                return Ok(());
            }
            self.check_name_is_stale(name, owner)?;
            remove_tree(&path).map_err(failed)?;
        }
        Err(EngineError::NameTaken {
            name: name.clone(),
            project: None,
        })
    }

    fn check_name_is_stale(
        &self,
        name: &ContainerName,
        owner: &Located,
    ) -> Result<(), EngineError> {
        let Ok(Some(other)) = read_json::<Located>(&self.name_file(name)) else {
            return Ok(());
        };
        if other == *owner {
            return Ok(());
        }
        let dir = self.layout.container(&other.project, &other.id);
        if dir.join("record.json").exists() {
            let (name, project) = (name.clone(), Some(other.project));
            return Err(EngineError::NameTaken { name, project });
        }
        Ok(())
    }

    /// Gives a name back, if this container has it.
    pub(super) fn free_name(
        &self,
        name: &ContainerName,
        owner: &Located,
    ) -> Result<(), EngineError> {
        let path = self.name_file(name);
        let current = read_json::<Located>(&path).ok().flatten();
        if current.as_ref().is_some_and(|current| current != owner) {
            return Ok(());
        }
        remove_tree(&path)
            .map_err(|error| EngineError::act(format!("free the name `{name}`"), error))
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
