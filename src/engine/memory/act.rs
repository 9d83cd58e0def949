//! Actions onto the world, each refused where a machine would refuse it.

use super::world::{Kept, World};
use crate::desired::{
    ContainerSpec, EndpointSpec, MountKind, NetworkMode, NetworkSpec, VolumeSpec, label,
};
use crate::engine::{ContainerEvent, EngineError, EventKind, Performed};
use crate::observed::{
    Health, ObservedContainer, ObservedEndpoint, ObservedImage, ObservedNetwork, ObservedPort,
    ObservedVolume, OneOff, RunState,
};
use crate::plan::{Action, AnonymousVolumes};
use crate::value::{ContainerName, ImageRef, NetworkName, VolumeName};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};
use tokio::sync::broadcast;

/// What `SIGKILL` ends a process with.
const KILLED: i32 = 137;
/// The first port that is given out when any will do.
const FIRST_FREE_PORT: u16 = 32_768;

type Done = Result<Performed, EngineError>;

impl World {
    pub(super) fn perform(
        &mut self,
        action: &Action,
        events: &broadcast::Sender<ContainerEvent>,
    ) -> Done {
        let before = self.containers.clone();
        let done = self.act(action)?;
        self.tell(&before, events);
        Ok(done)
    }

    fn act(&mut self, action: &Action) -> Done {
        match action {
            Action::PullImage { image, .. } => self.pull(image),
            Action::BuildImage(request) => Err(EngineError::NotSupported {
                what: format!("build image `{}`", request.image),
                engine: "in-memory",
            }),
            Action::RemoveImage { image } => done(self.images.remove(image)),
            Action::CreateNetwork(spec) => self.create_network(spec),
            Action::RemoveNetwork { name } => self.remove_network(name),
            Action::CreateVolume(spec) => self.create_volume(spec),
            Action::RemoveVolume { name } => self.remove_volume(name),
            Action::CreateContainer {
                spec,
                name,
                inherit,
            } => self.create_container(spec, name, inherit.as_ref()),
            Action::StartContainer { name, .. } => self.start(name),
            Action::StopContainer { name, .. } => self.end(name, 0),
            Action::KillContainer { name, .. } => self.end(name, KILLED),
            Action::PauseContainer { name } => {
                self.freeze(name, RunState::Running, RunState::Paused)
            }
            Action::UnpauseContainer { name } => {
                self.freeze(name, RunState::Paused, RunState::Running)
            }
            Action::RemoveContainer { name, volumes } => self.remove_container(name, *volumes),
            Action::RenameContainer { name, to } => self.rename(name, to),
            Action::UpdateContainer { name, spec } => self.update(name, spec),
            Action::ConnectNetwork {
                container,
                endpoint,
            } => self.connect(container, endpoint),
            Action::DisconnectNetwork { container, network } => done(
                self.container_mut(container)?
                    .observed
                    .endpoints
                    .remove(network),
            ),
            Action::WaitContainer { name, until, .. } => {
                self.answer(name, *until).unwrap_or(Ok(Performed::Done))
            }
            Action::RunHook { container, .. } => {
                self.container(container)?;
                Ok(Performed::Ended { exit_code: 0 })
            }
        }
    }

    fn pull(&mut self, image: &ImageRef) -> Done {
        let Some(id) = self.registry.get(image).cloned() else {
            let tried = vec!["the registry in memory".to_owned()];
            return Err(EngineError::ImageNotFound {
                image: image.clone(),
                tried,
                source: None,
            });
        };
        let observed = ObservedImage {
            id: id.clone(),
            references: vec![image.clone()],
            platform: None,
            manifest: None,
            latest: None,
            size_bytes: 0,
            created: None,
            fetched: Some(self.now()),
        };
        self.images.insert(image.clone(), observed);
        Ok(Performed::Image { id })
    }

    fn create_network(&mut self, spec: &NetworkSpec) -> Done {
        let id = self.new_id();
        let network = ObservedNetwork {
            id,
            name: spec.name.clone(),
            project: Some(spec.project.clone()),
            key: spec.key.clone(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            hash: String::new(),
            labels: spec.labels.clone(),
            created: Some(self.now()),
        };
        self.networks.entry(spec.name.clone()).or_insert(network);
        Ok(Performed::Done)
    }

    fn remove_network(&mut self, name: &NetworkName) -> Done {
        let users = self.containers.values();
        if let Some(user) = users
            .into_iter()
            .find(|kept| kept.observed.endpoints.contains_key(name))
        {
            let act = format!("remove network `{name}`");
            let cause = format!("container `{}` is connected to it", user.observed.name);
            return Err(EngineError::act(act, cause));
        }
        done(self.networks.remove(name))
    }

    fn create_volume(&mut self, spec: &VolumeSpec) -> Done {
        let volume = ObservedVolume {
            name: spec.name.clone(),
            project: Some(spec.project.clone()),
            key: spec.key.clone(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            hash: String::new(),
            labels: spec.labels.clone(),
            created: Some(self.now()),
        };
        self.volumes.entry(spec.name.clone()).or_insert(volume);
        Ok(Performed::Done)
    }

    fn remove_volume(&mut self, name: &VolumeName) -> Done {
        let mut users = self.containers.values();
        if let Some(user) = users.find(|kept| kept.observed.volumes.contains(name)) {
            let act = format!("remove volume `{name}`");
            let cause = format!("container `{}` mounts it", user.observed.name);
            return Err(EngineError::act(act, cause));
        }
        done(self.volumes.remove(name))
    }

    fn create_container(
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
            service: spec.service.clone(),
            number: spec.number,
            oneoff: OneOff::No,
            state: RunState::Created,
            health: Health::None,
            exit_code: None,
            spec: serde_json::to_value(spec).unwrap_or_default(),
            hash: spec
                .labels
                .get(label::CONFIG_HASH)
                .cloned()
                .unwrap_or_default(),
            image: spec.image.reference.to_string(),
            image_id: image.id,
            command: spec.process.command.clone().unwrap_or_default().join(" "),
            ports: Vec::new(),
            endpoints,
            volumes,
            labels: spec.labels.clone(),
            pid: None,
            created: Some(self.now()),
            started: None,
            finished: None,
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

    fn anonymous_volume(&mut self, spec: &ContainerSpec) -> Option<VolumeName> {
        let name: VolumeName = self.new_id().parse().ok()?;
        let volume = ObservedVolume {
            name: name.clone(),
            project: Some(spec.project.clone()),
            key: String::new(),
            spec: serde_json::Value::Null,
            hash: String::new(),
            labels: BTreeMap::new(),
            created: Some(self.now()),
        };
        self.volumes.insert(name.clone(), volume);
        Some(name)
    }

    fn start(&mut self, name: &ContainerName) -> Done {
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

    fn end(&mut self, name: &ContainerName, exit_code: i32) -> Done {
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

    fn freeze(&mut self, name: &ContainerName, from: RunState, to: RunState) -> Done {
        let observed = &mut self.container_mut(name)?.observed;
        if observed.state != from && observed.state != to {
            return Err(EngineError::NotRunning { name: name.clone() });
        }
        observed.state = to;
        Ok(Performed::Done)
    }

    fn remove_container(&mut self, name: &ContainerName, volumes: AnonymousVolumes) -> Done {
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

    fn rename(&mut self, name: &ContainerName, to: &ContainerName) -> Done {
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

    fn update(&mut self, name: &ContainerName, spec: &ContainerSpec) -> Done {
        let kept = self.container_mut(name)?;
        // Where it is plugged in changes with a connection alone, how it is called there changes now.
        for endpoint in spec.network.endpoints() {
            if let Some(plugged) = kept.observed.endpoints.get_mut(&endpoint.network) {
                plugged.aliases.clone_from(&endpoint.aliases);
            }
        }
        kept.spec = spec.clone();
        kept.observed.spec = serde_json::to_value(spec).unwrap_or_default();
        kept.observed.hash = spec
            .labels
            .get(label::CONFIG_HASH)
            .cloned()
            .unwrap_or_default();
        kept.observed.labels = spec.labels.clone();
        Ok(Performed::Done)
    }

    fn connect(&mut self, container: &ContainerName, endpoint: &EndpointSpec) -> Done {
        let plugged = self.plugged(endpoint)?;
        let kept = self.container_mut(container)?;
        kept.observed
            .endpoints
            .insert(endpoint.network.clone(), plugged);
        Ok(Performed::Done)
    }

    /// Tells what has become of the containers.
    fn tell(
        &self,
        before: &BTreeMap<ContainerName, Kept>,
        events: &broadcast::Sender<ContainerEvent>,
    ) {
        for (name, kept) in &self.containers {
            let old = before.get(name).map(|old| old.observed.state);
            let kind = match (old, kept.observed.state) {
                (None, _) => EventKind::Create,
                (Some(old), new) if old == new => continue,
                (Some(RunState::Paused), RunState::Running) => EventKind::Unpause,
                (Some(_), RunState::Paused) => EventKind::Pause,
                (Some(_), RunState::Running) => EventKind::Start,
                (Some(_), _) => EventKind::Die {
                    exit_code: kept.observed.exit_code,
                },
            };
            self.send(kept, kind, events);
        }
        for (name, kept) in before {
            if !self.containers.contains_key(name) {
                self.send(kept, EventKind::Destroy, events);
            }
        }
    }

    fn send(&self, kept: &Kept, kind: EventKind, events: &broadcast::Sender<ContainerEvent>) {
        let project = ("project".to_owned(), kept.spec.project.to_string());
        let image = ("image".to_owned(), kept.observed.image.clone());
        let event = ContainerEvent {
            time: self.now(),
            id: kept.observed.id.clone(),
            container: kept.observed.name.clone(),
            service: kept.spec.service.clone(),
            kind,
            attributes: BTreeMap::from([project, image]),
        };
        // Nobody listening is not an error.
        drop(events.send(event));
    }
}

fn done<T>(_removed: Option<T>) -> Done {
    Ok(Performed::Done)
}
