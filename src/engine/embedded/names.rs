//! Which container has which name: one link per name to its folder, made exclusively, so that a name is unique.
//!
//! **Invariant:** a name is taken and given back with the folder of all names locked. Otherwise two
//! that find a name of a container which is gone would both take it, the second from the first.

use std::path::{Path, PathBuf};

use super::inner::Inner;
use super::record::{ContainerRecord, folders};
use crate::engine::EngineError;
use crate::runtime::store::{
    Exclusive, FileLock, link_exclusively, lock_dir, make_dir, read_link, remove_tree,
};
use crate::value::{ContainerName, ProjectName};

/// Where a container lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// Its project.
    pub(super) project: ProjectName,
    /// Its id.
    pub(super) id: String,
}

impl Located {
    /// Returns where its folder lies, seen from that of all names.
    fn link(&self) -> PathBuf {
        let projects = Path::new("../projects");
        projects
            .join(self.project.as_str())
            .join("containers")
            .join(&self.id)
    }

    /// Reads such a link; one that leads elsewhere is nobody's.
    fn of_link(link: &Path) -> Option<Self> {
        let id = link.file_name()?.to_str()?.to_owned();
        let project = link.parent()?.parent()?.file_name()?.to_str()?;
        let project = project.parse().ok()?;
        let located = Self { project, id };
        (located.link() == link).then_some(located)
    }
}

impl Inner {
    fn name_link(&self, name: &ContainerName) -> PathBuf {
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
        let path = self.name_link(name);
        let taken = |project| EngineError::NameTaken {
            name: name.clone(),
            project,
        };
        match self.located(name)? {
            Some(current) if current == *owner => return Ok(()),
            Some(other) if self.keeps_its_name(&other) => return Err(taken(Some(other.project))),
            Some(_) | None => remove_tree(&path).map_err(failed)?,
        }
        match link_exclusively(&path, &owner.link()).map_err(failed)? {
            Exclusive::Made => Ok(()),
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
        let path = self.name_link(name);
        let current = self.located(name)?;
        if current.as_ref().is_some_and(|current| current != owner) {
            return Ok(());
        }
        remove_tree(&path).map_err(failed)
    }

    /// Returns where the link of a name leads.
    pub(super) fn located(&self, name: &ContainerName) -> Result<Option<Located>, EngineError> {
        let link = read_link(&self.name_link(name))
            .map_err(|error| EngineError::act(format!("find container `{name}`"), error))?;
        Ok(link.and_then(|link| Located::of_link(&link)))
    }

    /// Finds a container by its name.
    pub(super) fn find(
        &self,
        name: &ContainerName,
    ) -> Result<Option<ContainerRecord>, EngineError> {
        let failed = |error| EngineError::act(format!("find container `{name}`"), error);
        if let Some(located) = self.located(name)? {
            let dir = self.layout.container(&located.project, &located.id);
            let record = ContainerRecord::find(&dir).map_err(failed)?;
            if let Some(record) = record.filter(|record| record.name == *name) {
                return Ok(Some(record));
            }
        }
        self.find_without_link(name)
    }

    /// Finds a container whose name has lost its link, and makes that again.
    fn find_without_link(
        &self,
        name: &ContainerName,
    ) -> Result<Option<ContainerRecord>, EngineError> {
        for project in self.project_names()? {
            let mut records = self.records(&project)?.into_iter();
            let Some(record) = records.find(|record| record.name == *name) else {
                continue;
            };
            let located = Located {
                project,
                id: record.id.clone(),
            };
            self.take_name(name, &located)?;
            return Ok(Some(record));
        }
        Ok(None)
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
        let ids = self.container_ids(project)?;
        let records = ids.iter().filter_map(|id| self.record(project, id));
        Ok(records.collect())
    }

    /// Returns the ids of all containers of a project, also of those that are being made.
    pub(super) fn container_ids(&self, project: &ProjectName) -> Result<Vec<String>, EngineError> {
        folders(&self.layout.containers(project))
            .map_err(|error| EngineError::act(format!("list the containers of `{project}`"), error))
    }

    /// Returns the record of a container, if it can be read.
    pub(super) fn record(&self, project: &ProjectName, id: &str) -> Option<ContainerRecord> {
        let found = ContainerRecord::find(&self.layout.container(project, id));
        found.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_elsewhere_is_nobodys_name() {
        let located = Located {
            project: "demo".parse().unwrap(),
            id: "abc".to_owned(),
        };
        assert_eq!(Located::of_link(&located.link()), Some(located));
        for other in [
            "/etc/passwd",
            "../projects/demo/abc",
            "../projects/../containers/abc",
            "",
        ] {
            assert_eq!(Located::of_link(Path::new(other)), None, "{other}");
        }
    }
}
