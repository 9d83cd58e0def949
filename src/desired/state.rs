//! What should exist, exactly: the networks, volumes and containers of one project.

use super::{BuildSpec, ContainerSpec, NetworkSpec, VolumeSpec};
use crate::value::{ImageRef, NetworkName, Place, ProjectName, ServiceName, VolumeName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that one project wants to exist on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DesiredState {
    /// The project that all of it belongs to.
    pub project: ProjectName,
    /// The networks that enabled services use, by their key in the file.
    pub networks: BTreeMap<String, NetworkSpec>,
    /// The volumes that enabled services use, by their key in the file.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// The enabled services.
    pub services: BTreeMap<ServiceName, DesiredService>,
    /// What the file says others made.
    pub external: External,
    /// Services that the file has but no active profile enables: known, so never orphans.
    pub disabled: BTreeSet<ServiceName>,
    /// What the file asks for and will not get, without harm.
    pub notices: Vec<Notice>,
}

/// Networks and volumes that the file says others made, whether or not an enabled service uses them: they are never
/// made, changed or removed, whatever their labels say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// The networks.
    pub networks: BTreeSet<NetworkName>,
    /// The volumes.
    pub volumes: BTreeSet<VolumeName>,
}

/// A value that is accepted and has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The service.
    pub service: ServiceName,
    /// The value's path within the service.
    pub field: String,
    /// Why it has no effect.
    pub reason: String,
    /// Where it is written.
    pub place: Option<Place>,
}

/// One service with a spec for each of its replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DesiredService {
    /// The service's key in the file.
    pub name: ServiceName,
    /// One spec per replica, by number from one.
    pub replicas: Vec<ContainerSpec>,
    /// What must hold before a container of this service starts, by dependency.
    pub dependencies: BTreeMap<ServiceName, Dependency>,
    /// Whether its image can be built.
    pub has_build: bool,
    /// How its image is built; nothing in an outline.
    pub build: Option<Box<BuildSpec>>,
    /// The name that a build gives the image where the file names none: no registry is ever asked for it.
    pub built_name: Option<ImageRef>,
    /// Where the values of the specs are written.
    pub places: Places,
}

/// What a service needs from another one before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What must be true of every replica of the other service.
    pub condition: Condition,
    /// Whether this service restarts when the plan restarts or recreates the other one.
    pub restart: bool,
    /// Whether this service fails when the condition does; otherwise it is only warned about.
    pub required: bool,
    /// Where the dependency is written; nothing for one that follows from another key.
    pub place: Option<Place>,
}

/// What must be true of a dependency.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers are started.
    ServiceStarted,
    /// Its containers are started and their health checks pass.
    ServiceHealthy,
    /// Its containers ran to the end with exit code 0.
    ServiceCompletedSuccessfully,
}

impl Condition {
    /// The condition as a Compose file writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// Where values of a service are written, by path such as `environment.LOG_LEVEL`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// Remembers that the value at `path` is written at `place`.
    pub fn insert(&mut self, path: String, place: Place) {
        self.0.insert(path, place);
    }

    /// Returns the place of `path`, or of the nearest value that contains it.
    pub fn find(&self, path: &str) -> Option<&Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place);
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_a_place_has_that_of_what_contains_it() {
        let place = Place {
            file: "compose.yaml".into(),
            line: 3,
            column: 5,
        };
        let mut places = Places::default();
        places.insert("environment".to_owned(), place.clone());
        assert_eq!(places.find("environment.LOG_LEVEL"), Some(&place));
        assert_eq!(places.find("labels.x"), None);
    }
}
