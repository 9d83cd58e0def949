//! What becomes of containers: made, started, ended, frozen, changed, removed.

use super::act::Done;
use super::world::{Kept, World};
use crate::desired::{ContainerSpec, EndpointSpec, MountKind, NetworkMode};
use crate::engine::{EngineError, Performed};
use crate::observed::{
    Health, Join, ObservedContainer, ObservedEndpoint, ObservedPort, OneOff, RunState, StoredSpec,
};
use crate::plan::AnonymousVolumes;
use crate::value::{ContainerName, VolumeName};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// The first port that is given out when any will do.
const FIRST_FREE_PORT: u16 = 32_768;

impl World {
    pub(super) fn create_container(
        &mut self,
        spec: &ContainerSpec,
        name: &ContainerName,
        inherit: Option<&ContainerName>,
    ) -> Done {
        if self.containers.contains_key(name) {
            let project = Some(self.container(name)?.spec.project.clone());
            return Err(EngineError::NameTaken {
                name: name.clone(),
                project,
            });
        }
        let Some(image) = self.images.get(&spec.image.reference).cloned() else {
            let image = spec.image.reference.clone();
            return Err(EngineError::ImageNotFound {
                image,
                tried: Vec::new(),
                source: None,
            });
        };
        let mut endpoints = BTreeMap::new();
        for endpoint in spec.network.endpoints() {
            endpoints.insert(endpoint.network.clone(), self.plugged(endpoint)?);
        }
        let inherited = inherit.map(|old| self.container(old)).transpose()?;
        let inherited = inherited.map(|old| old.anonymous.clone());
        let (mut volumes, anonymous) = self.mounted(spec, inherited)?;
        volumes.extend(anonymous.iter().cloned());
        let observed = ObservedContainer {
            id: self.new_id(),
            name: name.clone(),
            final_name: spec.name.clone(),
            service: spec.service.clone(),
            number: spec.number,
            oneoff: OneOff::No,
            state: RunState::Created,
            health: Health::None,
            exit_code: None,
            spec: StoredSpec::new(spec.clone()),
            hash: spec.hash.clone(),
            image: spec.image.reference.to_string(),
            image_id: image.id,
            command: spec.process.command.clone().unwrap_or_default().join(" "),
            ports: Vec::new(),
            endpoints,
            joins: spec
                .joins()
                .into_iter()
                .map(|(_, container)| (container, Join::Whole))
                .collect(),
            volumes,
            labels: spec.labels.clone(),
            pid: None,
            created: Some(self.now()),
            started: None,
            finished: None,
            is_stopping: false,
            restarts: 0,
        };
        self.containers.insert(
            name.clone(),
            Kept {
                observed,
                spec: spec.clone(),
                anonymous,
            },
        );
        Ok(Performed::Done)
    }

    /// The named volumes that a container mounts, and the anonymous ones, taken over or new.
    fn mounted(
        &mut self,
        spec: &ContainerSpec,
        inherited: Option<BTreeSet<VolumeName>>,
    ) -> Result<(BTreeSet<VolumeName>, BTreeSet<VolumeName>), EngineError> {
        let mut named = BTreeSet::new();
        let mut missing = 0;
        for mount in &spec.mounts {
            let MountKind::Volume(volume) = &mount.kind else {
                continue;
            };
            match &volume.name {
                Some(name) if self.volumes.contains_key(name) => drop(named.insert(name.clone())),
                Some(name) => return Err(EngineError::VolumeNotFound { name: name.clone() }),
                None => missing += 1,
            }
        }
        if let Some(inherited) = inherited {
            return Ok((named, inherited));
        }
        let anonymous = (0..missing)
            .filter_map(|_| self.anonymous_volume(spec))
            .collect();
        Ok((named, anonymous))
    }

    pub(super) fn start(&mut self, name: &ContainerName) -> Done {
        let kept = self.container(name)?.clone();
        if kept.observed.is_alive() {
            return Ok(Performed::Done);
        }
        if let NetworkMode::Container(other)
        | NetworkMode::Service {
            container: other, ..
        } = &kept.spec.network
        {
            self.running(other)?;
        }
        let ports = self.publish_ports(&kept)?;
        let exit_code = self.exits.get(&kept.spec.service).copied();
        let health = self.health.get(&kept.spec.service).copied();
        let now = self.now();
        let observed = &mut self.container_mut(name)?.observed;
        observed.started = Some(now);
        observed.exit_code = exit_code;
        observed.state = if exit_code.is_some() {
            RunState::Exited
        } else {
            RunState::Running
        };
        observed.finished = exit_code.map(|_| now);
        observed.ports = if exit_code.is_some() {
            Vec::new()
        } else {
            ports
        };
        observed.health = match kept.spec.healthcheck {
            Some(_) => health.unwrap_or(Health::Healthy),
            None => health.unwrap_or_default(),
        };
        Ok(Performed::Done)
    }

    fn publish_ports(&self, kept: &Kept) -> Result<Vec<ObservedPort>, EngineError> {
        let taken: BTreeSet<u16> = self
            .containers
            .values()
            .flat_map(|other| &other.observed.ports)
            .filter_map(|port| port.published)
            .collect();
        let mut ports: Vec<ObservedPort> = Vec::new();
        for port in &kept.spec.ports {
            let (first, last) = port.published.map_or((FIRST_FREE_PORT, u16::MAX), |range| {
                (range.first, range.last)
            });
            let is_free = |candidate: &u16| {
                let ours = ports.iter().any(|port| port.published == Some(*candidate));
                !ours && !taken.contains(candidate)
            };
            let Some(published) = (first..=last).find(is_free) else {
                return Err(EngineError::PortTaken {
                    host_ip: port.host_ip,
                    port: first,
                    protocol: port.protocol.to_string(),
                    holder: None,
                });
            };
            ports.push(ObservedPort {
                host_ip: port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                published: Some(published),
                target: port.target,
                protocol: port.protocol.to_string(),
            });
        }
        Ok(ports)
    }

    pub(super) fn end(&mut self, name: &ContainerName, exit_code: i32) -> Done {
        let now = self.now();
        let observed = &mut self.container_mut(name)?.observed;
        if observed.is_alive() {
            observed.state = RunState::Exited;
            observed.exit_code = Some(exit_code);
            observed.health = Health::None;
            observed.finished = Some(now);
            observed.ports.clear();
        }
        Ok(Performed::Ended { exit_code })
    }

    pub(super) fn freeze(&mut self, name: &ContainerName, from: RunState, to: RunState) -> Done {
        let observed = &mut self.container_mut(name)?.observed;
        if observed.state != from && observed.state != to {
            return Err(EngineError::NotRunning { name: name.clone() });
        }
        observed.state = to;
        Ok(Performed::Done)
    }

    pub(super) fn remove_container(
        &mut self,
        name: &ContainerName,
        volumes: AnonymousVolumes,
    ) -> Done {
        let Some(kept) = self.containers.get(name) else {
            return Ok(Performed::Done);
        };
        if kept.observed.is_alive() {
            return Err(EngineError::act(
                format!("remove container `{name}`"),
                "it is running",
            ));
        }
        let anonymous = kept.anonymous.clone();
        self.containers.remove(name);
        if volumes == AnonymousVolumes::Remove {
            let used = |volume: &VolumeName| {
                self.containers
                    .values()
                    .any(|kept| kept.anonymous.contains(volume))
            };
            let unused: Vec<VolumeName> = anonymous
                .into_iter()
                .filter(|volume| !used(volume))
                .collect();
            for volume in unused {
                self.volumes.remove(&volume);
            }
        }
        Ok(Performed::Done)
    }

    pub(super) fn rename(&mut self, name: &ContainerName, to: &ContainerName) -> Done {
        if self.containers.contains_key(to) {
            return Err(EngineError::NameTaken {
                name: to.clone(),
                project: None,
            });
        }
        self.container(name)?;
        if let Some(mut kept) = self.containers.remove(name) {
            kept.observed.name = to.clone();
            self.containers.insert(to.clone(), kept);
        }
        Ok(Performed::Done)
    }

    pub(super) fn update(&mut self, name: &ContainerName, spec: &ContainerSpec) -> Done {
        let kept = self.container_mut(name)?;
        // Where it is plugged in changes with a connection alone, how it is called there changes now.
        for endpoint in spec.network.endpoints() {
            if let Some(plugged) = kept.observed.endpoints.get_mut(&endpoint.network) {
                plugged.aliases.clone_from(&endpoint.aliases);
            }
        }
        kept.spec = spec.clone();
        kept.observed.spec = StoredSpec::new(spec.clone());
        kept.observed.hash.clone_from(&spec.hash);
        kept.observed.labels = spec.labels.clone();
        Ok(Performed::Done)
    }

    pub(super) fn connect(&mut self, container: &ContainerName, endpoint: &EndpointSpec) -> Done {
        let plugged = self.plugged(endpoint)?;
        let kept = self.container_mut(container)?;
        kept.observed
            .endpoints
            .insert(endpoint.network.clone(), plugged);
        Ok(Performed::Done)
    }

    fn plugged(&self, endpoint: &EndpointSpec) -> Result<ObservedEndpoint, EngineError> {
        let not_found = || EngineError::NetworkNotFound {
            name: endpoint.network.clone(),
        };
        let network = self.networks.get(&endpoint.network).ok_or_else(not_found)?;
        Ok(ObservedEndpoint {
            network_id: network.id.clone(),
            ipv4_address: endpoint.ipv4_address,
            ipv6_address: endpoint.ipv6_address,
            mac_address: endpoint.mac_address.clone(),
            aliases: endpoint.aliases.clone(),
        })
    }
}
