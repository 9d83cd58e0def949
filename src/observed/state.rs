//! The snapshot that a plan is made from, and what it is asked to cover.

use super::{
    ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume, OccupiedSubnet, RunState,
};
use crate::value::{
    ContainerName, ImageRef, NetworkName, Platform, ProjectName, ServiceName, VolumeName,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// What an observation covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The project whose containers, networks and volumes are wanted.
    pub project: ProjectName,
    /// Networks to report also when they belong to nobody or to another project.
    pub networks: Vec<NetworkName>,
    /// Volumes to report also when they belong to nobody or to another project.
    pub volumes: Vec<VolumeName>,
    /// Images to report.
    pub images: Vec<ImageQuery>,
    /// Whether the subnets that are in use on this machine are reported.
    pub subnets: Subnets,
}

/// Whether the subnets that are in use on this machine are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subnets {
    /// They are not, because none is fixed.
    Unasked,
    /// They are.
    Occupied,
}

impl Scope {
    /// Covers what belongs to `project`, and no image.
    pub fn project(project: ProjectName) -> Self {
        Self {
            project,
            networks: Vec::new(),
            volumes: Vec::new(),
            images: Vec::new(),
            subnets: Subnets::Unasked,
        }
    }
}

/// An image to report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageQuery {
    /// The image.
    pub reference: ImageRef,
    /// For which platform; the machine's own when nothing is said.
    pub platform: Option<Platform>,
    /// Whether the registry is asked for the image it would send now.
    pub refresh: Refresh,
}

/// Whether the registry is asked which image it would send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refresh {
    /// What is here is enough.
    No,
    /// A cheap question, not a transfer; no answer is not an error.
    Ask,
}

/// What is there of one project, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedState {
    /// The project's containers, by name.
    pub containers: BTreeMap<ContainerName, ObservedContainer>,
    /// The project's networks and those asked for, by name.
    pub networks: BTreeMap<NetworkName, ObservedNetwork>,
    /// The project's volumes and those asked for, by name.
    pub volumes: BTreeMap<VolumeName, ObservedVolume>,
    /// The images asked for that are here, by reference.
    pub images: BTreeMap<ImageRef, ObservedImage>,
    /// The subnets that are in use on this machine, where they were asked for.
    pub subnets: Vec<OccupiedSubnet>,
    /// Records of the engine that cannot be read; what they describe is not among the rest.
    pub damage: Vec<Damage>,
}

/// A record of the engine that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub reason: String,
    /// Where it was moved to; nothing while it is where it was.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, reason) = (self.path.display(), &self.reason);
        match &self.kept {
            Some(kept) => write!(
                f,
                "`{path}` could not be read ({reason}) and was set aside in `{}`",
                kept.display()
            ),
            None => write!(
                f,
                "`{path}` cannot be read ({reason}); the next command that changes the project sets it aside"
            ),
        }
    }
}

impl ObservedState {
    /// The containers of `service` that `up` looks after: not those of `run`, nor hooks.
    pub fn replicas(&self, service: &ServiceName) -> impl Iterator<Item = &ObservedContainer> {
        self.containers
            .values()
            .filter(move |container| container.is_replica_of(service))
    }

    /// Whether nothing of the project is there.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

/// One project, as `ls` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSummary {
    /// The name.
    pub name: ProjectName,
    /// How many containers are in which state.
    pub states: BTreeMap<RunState, u32>,
    /// The files it was loaded from, with commas.
    pub config_files: String,
}
