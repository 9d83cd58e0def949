//! What there is, as plain data.

use crate::desired::ContainerSpec;
use crate::engine::{EngineError, Performed};
use crate::observed::{
    Health, NetworkUser, ObservedContainer, ObservedImage, ObservedNetwork, ObservedState,
    ObservedVolume, ProjectSummary, RunState, Scope,
};
use crate::plan::{Action, Until};
use crate::value::{ContainerName, ImageRef, NetworkName, ProjectName, ServiceName, VolumeName};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) containers: BTreeMap<ContainerName, Kept>,
    pub(super) networks: BTreeMap<NetworkName, ObservedNetwork>,
    pub(super) volumes: BTreeMap<VolumeName, ObservedVolume>,
    pub(super) images: BTreeMap<ImageRef, ObservedImage>,
    pub(super) registry: BTreeMap<ImageRef, String>,
    pub(super) exits: BTreeMap<ServiceName, i32>,
    pub(super) health: BTreeMap<ServiceName, Health>,
    pub(super) history: Vec<String>,
    pub(super) fail_in: Option<usize>,
    ids: u64,
}

/// A container, and the spec it was made from.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) observed: ObservedContainer,
    pub(super) spec: ContainerSpec,
    /// The volumes that were made for it.
    pub(super) anonymous: BTreeSet<VolumeName>,
}

impl World {
    pub(super) fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("{:012x}{:052x}", self.ids, self.ids)
    }

    pub(super) fn now(&self) -> SystemTime {
        let seconds = u64::try_from(self.history.len()).unwrap_or(u64::MAX);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Writes an action down, or fails it where that was asked for.
    pub(super) fn account(&mut self, action: &Action) -> Result<(), EngineError> {
        let text = format!("{} {}", action.verb(), action.subject());
        match &mut self.fail_in {
            Some(0) => {
                self.fail_in = None;
                return Err(EngineError::act(text, "it was asked to fail"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.history.push(text);
        Ok(())
    }

    pub(super) fn container(&self, name: &ContainerName) -> Result<&Kept, EngineError> {
        let not_found = || EngineError::ContainerNotFound { name: name.clone() };
        self.containers.get(name).ok_or_else(not_found)
    }

    pub(super) fn container_mut(&mut self, name: &ContainerName) -> Result<&mut Kept, EngineError> {
        let not_found = || EngineError::ContainerNotFound { name: name.clone() };
        self.containers.get_mut(name).ok_or_else(not_found)
    }

    pub(super) fn running(&self, name: &ContainerName) -> Result<&Kept, EngineError> {
        let kept = self.container(name)?;
        if kept.observed.state == RunState::Running {
            return Ok(kept);
        }
        Err(EngineError::NotRunning { name: name.clone() })
    }

    /// The exit code of a container that has ended.
    pub(super) fn ended(&self, name: &ContainerName) -> Result<Option<i32>, EngineError> {
        let observed = &self.container(name)?.observed;
        Ok(if observed.is_alive() {
            None
        } else {
            Some(observed.exit_code.unwrap_or(0))
        })
    }

    /// Whether what is waited for has come true or never will; nothing while it is open.
    pub(super) fn answer(
        &self,
        name: &ContainerName,
        until: Until,
    ) -> Option<Result<Performed, EngineError>> {
        let observed = match self.container(name) {
            Ok(kept) => &kept.observed,
            Err(error) => return Some(Err(error)),
        };
        let ended = || EngineError::Ended {
            name: name.clone(),
            exit_code: observed.exit_code.unwrap_or_default(),
        };
        match (until, observed.state, observed.health) {
            (Until::Stopped, _, _) if observed.is_stopping => None,
            (Until::Stopped, _, _) => Some(Ok(Performed::Done)),
            (Until::CompletedSuccessfully, RunState::Exited, _) => match observed.exit_code {
                Some(0) => Some(Ok(Performed::Ended { exit_code: 0 })),
                Some(_) | None => Some(Err(ended())),
            },
            (_, RunState::Exited, _) => Some(Err(ended())),
            (Until::CompletedSuccessfully, _, _) => None,
            (_, RunState::Running, Health::Healthy)
            | (Until::RunningOrHealthy, RunState::Running, Health::None) => {
                Some(Ok(Performed::Done))
            }
            (_, RunState::Running, Health::Unhealthy) => {
                let output = String::new();
                Some(Err(EngineError::Unhealthy {
                    name: name.clone(),
                    output,
                }))
            }
            (Until::Healthy, RunState::Running, Health::None) => {
                Some(Err(EngineError::NoHealthcheck { name: name.clone() }))
            }
            _ => None,
        }
    }

    pub(super) fn observe(&self, scope: &Scope) -> ObservedState {
        let ours = |project: &Option<ProjectName>| project.as_ref() == Some(&scope.project);
        let containers = self
            .containers
            .values()
            .filter(|kept| kept.spec.project == scope.project);
        let networks = self.networks.values();
        let networks = networks.filter(|it| ours(&it.project) || scope.networks.contains(&it.name));
        let with_others = |network: &ObservedNetwork| ObservedNetwork {
            others: self.users_of_others(&network.name, &scope.project),
            ..network.clone()
        };
        let volumes = self.volumes.values();
        let volumes = volumes.filter(|it| ours(&it.project) || scope.volumes.contains(&it.name));
        let images = scope
            .images
            .iter()
            .filter_map(|query| self.images.get(&query.reference));
        ObservedState {
            containers: containers
                .map(|kept| (kept.observed.name.clone(), kept.observed.clone()))
                .collect(),
            networks: networks
                .map(|it| (it.name.clone(), with_others(it)))
                .collect(),
            volumes: volumes.map(|it| (it.name.clone(), it.clone())).collect(),
            images: images
                .flat_map(|image| {
                    image
                        .references
                        .iter()
                        .map(|name| (name.clone(), image.clone()))
                })
                .collect(),
            subnets: Vec::new(),
            damage: Vec::new(),
        }
    }

    fn users_of_others(&self, network: &NetworkName, project: &ProjectName) -> Vec<NetworkUser> {
        let others = self.containers.values().filter(|kept| {
            kept.spec.project != *project && kept.observed.endpoints.contains_key(network)
        });
        let user = |kept: &Kept| NetworkUser {
            container: kept.observed.name.clone(),
            project: kept.spec.project.clone(),
        };
        others.map(user).collect()
    }

    pub(super) fn projects(&self) -> Vec<ProjectSummary> {
        let mut found: BTreeMap<&ProjectName, ProjectSummary> = BTreeMap::new();
        for kept in self.containers.values() {
            let summary = found
                .entry(&kept.spec.project)
                .or_insert_with(|| ProjectSummary {
                    name: kept.spec.project.clone(),
                    states: BTreeMap::new(),
                    config_files: String::new(),
                });
            *summary.states.entry(kept.observed.state).or_default() += 1;
            let files = kept
                .observed
                .labels
                .get(crate::desired::label::CONFIG_FILES);
            summary.config_files = files.cloned().unwrap_or_default();
        }
        found.into_values().collect()
    }
}
