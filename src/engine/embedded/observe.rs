//! What is there, read from the records and checked against the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use super::inner::Inner;
use super::mend::Damaged;
use super::record::{ContainerRecord, NetworkRecord, folders};
use crate::desired::{Joined, label};
use crate::engine::EngineError;
use crate::observed::{
    Damage, Health, Join, NetworkUser, ObservedContainer, ObservedEndpoint, ObservedNetwork,
    ObservedPort, ObservedState, ObservedVolume, OneOff, ProjectSummary, RunState, Scope,
    StoredSpec, Subnets,
};
use crate::runtime::container::Container;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::monitor::control::{self, Reply, Request};
use crate::runtime::monitor::state::{self, ContainerState, NamespaceNumbers, Status};
use crate::runtime::store::Durability;
use crate::runtime::volume::VolumeRecord;
use crate::value::{ContainerName, NetworkName, ProjectName, VolumeName};

/// How many containers take longer to look at than a thread to start.
const WORTH_A_THREAD: usize = 16;

/// How long the end of processes that were sent SIGKILL is waited for.
const KILL_TIMEOUT_MS: u64 = 5_000;

impl Inner {
    /// Takes a snapshot of what is there.
    pub(super) fn observe(&self, scope: &Scope) -> Result<ObservedState, EngineError> {
        let mut observed = ObservedState::default();
        let seen = self.observe_containers(&scope.project)?;
        let own: Vec<String> = seen.containers.iter().map(|one| one.id.clone()).collect();
        let named = seen
            .containers
            .into_iter()
            .map(|one| (one.name.clone(), one));
        observed.containers.extend(named);
        observed.damage.extend(seen.damage);
        let (networks, damaged) = self.look_at_networks()?;
        let is_ours = |network: &&Damaged<NetworkName>| {
            !self.is_used_by_others(&network.name, &scope.project)
        };
        let damaged: Vec<_> = damaged.into_iter().filter(|one| is_ours(&one)).collect();
        observed
            .damage
            .extend(damaged.into_iter().map(Damaged::told));
        for network in networks {
            let name = &network.spec.name;
            if network.spec.project == scope.project || scope.networks.contains(name) {
                let others = self.users_beside(name, &own)?;
                let found = observed_network(&network, others);
                drop(observed.networks.insert(name.clone(), found));
            }
        }
        let wanted: BTreeSet<&VolumeName> = scope.volumes.iter().collect();
        let (volumes, damaged) = self.look_at_volumes()?;
        let is_ours = |volume: &Damaged<String>| {
            self.known_volume(&volume.name, &scope.project).is_some()
                || wanted.iter().any(|name| name.as_str() == volume.name)
        };
        let damaged = damaged.into_iter().filter(is_ours);
        observed.damage.extend(damaged.map(Damaged::told));
        for volume in volumes {
            let spec = self.volume_spec(&volume.name);
            let observed_volume =
                observed_volume(&volume, spec, self.volumes.data_dir(&volume.name));
            let Some(one) = observed_volume else { continue };
            if one.project.as_ref() == Some(&scope.project) || wanted.contains(&one.name) {
                drop(observed.volumes.insert(one.name.clone(), one));
            }
        }
        if scope.subnets == Subnets::Occupied {
            observed.subnets = self.occupied_subnets()?;
        }
        self.observe_images(scope, &mut observed)?;
        Ok(observed)
    }

    /// Looks at all containers of a project, at many by several threads.
    fn observe_containers(&self, project: &ProjectName) -> Result<Seen, EngineError> {
        let ids = self.container_ids(project)?;
        let look = |ids: &[String]| -> Result<Seen, EngineError> {
            let mut seen = Seen::default();
            for id in ids {
                let dir = self.layout.container(project, id);
                match ContainerRecord::find(&dir) {
                    Ok(Some(record)) => {
                        let state = self.known_state(&record)?;
                        let joins = self.joins(&record, &state)?;
                        seen.containers.push(ObservedContainer {
                            joins,
                            ..observed_container(record, &state)
                        });
                    }
                    Err(error) if error.is_damage() => {
                        let path = dir.join("record.json");
                        let name = id.clone();
                        seen.damage.push(Damaged { name, path, error }.told());
                    }
                    // It is being made or removed.
                    Ok(None) | Err(_) => {}
                }
            }
            Ok(seen)
        };
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let share = ids.len().div_ceil(threads).max(WORTH_A_THREAD);
        let mut shares = ids.chunks(share);
        let own = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = shares
                .map(|share| {
                    let thread = thread::Builder::new().spawn_scoped(scope, move || look(share));
                    thread.map_err(|_| share)
                })
                .collect();
            let mut observed = look(own)?;
            for other in others {
                let other = match other {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic))?,
                    // Without another thread it only takes longer.
                    Err(share) => look(share)?,
                };
                observed.containers.extend(other.containers);
                observed.damage.extend(other.damage);
            }
            Ok(observed)
        })
    }

    /// Returns whose namespaces a container joins, and whether those have started anew since.
    fn joins(
        &self,
        record: &ContainerRecord,
        state: &ContainerState,
    ) -> Result<BTreeMap<ContainerName, Join>, EngineError> {
        let mut joins = BTreeMap::new();
        for (kind, name) in record.spec.joins() {
            let other = self.find(&name)?;
            let other = other.map(|other| self.state(&other)).transpose()?;
            let is_lost = other.is_some_and(|other| has_lost(kind, state, &other));
            let join = if is_lost { Join::Lost } else { Join::Whole };
            let worst = joins.entry(name).or_insert(join);
            *worst = join.max(*worst);
        }
        Ok(joins)
    }

    /// Returns what is true of a container, after giving one that lost its monitor a new one.
    pub(super) fn watched_state(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerState, EngineError> {
        let state = self.state(record)?;
        if !state.has_process_or_pause() || self.is_watched(&record.id) {
            return Ok(state);
        }
        // A monitor writes down the end before it goes: it may have done both since.
        let state = self.state(record)?;
        if !state.has_process_or_pause() {
            return Ok(state);
        }
        if self
            .layout
            .container_run(&record.id)
            .join("bundle.json")
            .exists()
        {
            self.adopt(record)?;
            return self.state(record);
        }
        self.without_run_folder(record, state)
    }

    /// Returns what is true of a container, watched or not.
    ///
    /// That one cannot be watched again is a matter of whoever waits for it; others see it as it is.
    pub(super) fn known_state(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerState, EngineError> {
        let Ok(state) = self.watched_state(record) else {
            return self.unwatched_state(record);
        };
        if state.status == Status::Restarting || !state.has_process_or_pause() {
            return Ok(state);
        }
        // Whoever watches it reaps it, and then no other process has its number so soon.
        let process = state.container.as_ref().map(|container| container.process);
        if process.is_some_and(|process| Pidfd::open(process.pid).is_ok()) {
            return Ok(state);
        }
        // Its monitor is about to record the end, or cannot, for want of room on the disk.
        match control::ask(&self.layout.container_run(&record.id), &Request::State) {
            Ok(Reply::State { state }) => Ok(*state),
            Ok(_) | Err(_) => self.unwatched_state(record),
        }
    }

    /// Returns what was recorded of a container that nobody watches, unless its process has ended.
    pub(super) fn unwatched_state(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerState, EngineError> {
        let mut state = self.state(record)?;
        if state.has_process_or_pause() && Self::process_of(record, &state)?.is_none() {
            state.forget_process();
        }
        Ok(state)
    }

    /// Returns what runs of a container according to its record, if it still does.
    pub(super) fn process_of(
        record: &ContainerRecord,
        state: &ContainerState,
    ) -> Result<Option<Container>, EngineError> {
        let found = state.container.as_ref().map(Container::adopt).transpose();
        let found = found.map_err(|error| {
            EngineError::act(format!("find container `{}`", record.name), error)
        })?;
        Ok(found.flatten())
    }

    /// Returns what is true of a container whose run folder is gone: what runs without it is ended.
    ///
    /// The folder is gone after a reboot, or because somebody removed it; nobody could watch the
    /// container any more, nor start it as it was.
    fn without_run_folder(
        &self,
        record: &ContainerRecord,
        mut state: ContainerState,
    ) -> Result<ContainerState, EngineError> {
        let act = || format!("end container `{}`, whose run folder is gone", record.name);
        if let Some(container) = Self::process_of(record, &state)? {
            let ended = container.kill_all(KILL_TIMEOUT_MS);
            // A cgroup that was killed once is not used again, see the monitor.
            let removed = ended.and_then(|_| container.cgroup().remove());
            removed.map_err(|error| EngineError::act(act(), error))?;
        }
        self.withdraw_ports(record)?;
        state.forget_process();
        // Without room on the disk the next look finds the same.
        drop(state.write(&self.folder(record), Durability::Cached));
        Ok(state)
    }

    /// Lists the projects that have containers.
    pub(super) fn projects(&self) -> Result<Vec<ProjectSummary>, EngineError> {
        let mut summaries = Vec::new();
        for name in self.project_names()? {
            let mut states = BTreeMap::new();
            let mut config_files = String::new();
            for record in self.records(&name)? {
                *states
                    .entry(run_state(self.state(&record)?.status))
                    .or_insert(0) += 1;
                if let Some(files) = record.spec.labels.get(label::CONFIG_FILES) {
                    config_files.clone_from(files);
                }
            }
            if !states.is_empty() {
                summaries.push(ProjectSummary {
                    name,
                    states,
                    config_files,
                });
            }
        }
        Ok(summaries)
    }

    /// Returns the names of all projects that have a folder.
    pub(super) fn project_names(&self) -> Result<Vec<ProjectName>, EngineError> {
        let names = folders(&self.layout.projects());
        let names = names.map_err(|error| EngineError::act("list the projects", error))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns where the data of a volume are.
    pub(super) fn volume_dir(&self, name: &VolumeName) -> PathBuf {
        self.volumes.data_dir(name)
    }
}

/// What there is of a project's containers.
#[derive(Default)]
struct Seen {
    containers: Vec<ObservedContainer>,
    damage: Vec<Damage>,
}

fn observed_container(record: ContainerRecord, state: &ContainerState) -> ObservedContainer {
    let spec = &record.spec;
    let command = super::describe::args(spec, &record.image_config);
    ObservedContainer {
        final_name: spec.name.clone(),
        service: spec.service.clone(),
        number: spec.number,
        oneoff: oneoff(&record),
        state: run_state(state.status),
        is_stopping: state.stopping.is_some() && state.has_process_or_pause(),
        health: health(state),
        exit_code: state.exit_code,
        hash: spec.hash.clone(),
        image: spec.image.reference.to_string(),
        command: in_one_line(&command),
        ports: ports(&record, state),
        endpoints: endpoints(&record),
        joins: BTreeMap::new(),
        volumes: record.volumes.iter().map(|one| one.name.clone()).collect(),
        labels: labels(&record),
        pid: state
            .container
            .as_ref()
            .and_then(|container| u32::try_from(container.process.pid).ok()),
        created: Some(record.created.into()),
        started: state.started_at.as_deref().and_then(time),
        finished: state.finished_at.as_deref().and_then(time),
        restarts: state.restart_count,
        id: record.id,
        name: record.name,
        image_id: record.image_id,
        spec: StoredSpec::new(record.spec),
    }
}

/// Whether two containers that both run are in different namespaces of a kind.
fn has_lost(kind: Joined, own: &ContainerState, other: &ContainerState) -> bool {
    let of_running = |state: &ContainerState| {
        let runs = state.has_process_or_pause();
        state.namespaces.filter(|_| runs)
    };
    let number = |numbers: NamespaceNumbers| match kind {
        Joined::Network => numbers.network,
        Joined::Ipc => numbers.ipc,
        Joined::Pid => numbers.pid,
    };
    match (of_running(own), of_running(other)) {
        (Some(own), Some(other)) => number(own) != number(other),
        (_, _) => false,
    }
}

/// Writes a command on one line as Docker does, where words with spaces are in quotes.
fn in_one_line(command: &[String]) -> String {
    let words = command.iter().enumerate().map(|(index, word)| {
        if index > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a container's labels and those of its image, which say nothing about projects.
fn labels(record: &ContainerRecord) -> BTreeMap<String, String> {
    let mut labels = record.image_config.labels.clone();
    labels.retain(|name, _| !name.starts_with(label::PREFIX));
    labels.insert(label::IMAGE.to_owned(), record.image_id.clone());
    labels.extend(record.spec.labels.clone());
    labels
}

fn oneoff(record: &ContainerRecord) -> OneOff {
    let labels = &record.spec.labels;
    if labels.contains_key(label::HOOK) {
        return OneOff::Hook;
    }
    match labels.get(label::ONEOFF).map(String::as_str) {
        Some("True") if labels.contains_key(label::REMOVE_AT_END) => OneOff::RunAndRemove,
        Some("True") => OneOff::Run,
        _ => OneOff::No,
    }
}

fn run_state(status: Status) -> RunState {
    match status {
        Status::Created => RunState::Created,
        Status::Running => RunState::Running,
        Status::Paused => RunState::Paused,
        Status::Restarting => RunState::Restarting,
        Status::Exited => RunState::Exited,
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health {
        None => Health::None,
        Some(state::Health::Starting) => Health::Starting,
        Some(state::Health::Healthy) => Health::Healthy,
        Some(state::Health::Unhealthy) => Health::Unhealthy,
    }
}

/// Returns the published ports as they are bound, and the exposed ones that are not published.
fn ports(record: &ContainerRecord, state: &ContainerState) -> Vec<ObservedPort> {
    let mut ports: Vec<ObservedPort> = state
        .ports
        .iter()
        .map(|port| ObservedPort {
            host_ip: port.host_ip,
            published: Some(port.host_port),
            target: port.target,
            protocol: port.protocol.clone(),
        })
        .collect();
    let exposed = record
        .spec
        .expose
        .iter()
        .chain(&record.image_config.exposed_ports);
    for text in exposed {
        let (target, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let Ok(target) = target.parse() else { continue };
        let is_there = ports
            .iter()
            .any(|port| port.target == target && port.protocol == protocol);
        if !is_there {
            let host_ip = std::net::IpAddr::from([0, 0, 0, 0]);
            ports.push(ObservedPort {
                host_ip,
                published: None,
                target,
                protocol: protocol.to_owned(),
            });
        }
    }
    ports.sort();
    ports
}

fn endpoints(record: &ContainerRecord) -> BTreeMap<NetworkName, ObservedEndpoint> {
    let aliases = |network: &NetworkName| {
        let wanted = record.spec.network.endpoints().iter();
        let mut wanted = wanted.filter(|endpoint| endpoint.network == *network);
        wanted
            .next()
            .map(|endpoint| endpoint.aliases.clone())
            .unwrap_or_default()
    };
    let leases = record.endpoints.iter();
    leases
        .map(|lease| {
            let endpoint = ObservedEndpoint {
                network_id: lease.network_id.clone(),
                ipv4_address: lease.ipv4,
                ipv6_address: lease.ipv6,
                mac_address: Some(lease.mac.clone()),
                aliases: aliases(&lease.network),
            };
            (lease.network.clone(), endpoint)
        })
        .collect()
}

fn observed_network(record: &NetworkRecord, others: Vec<NetworkUser>) -> ObservedNetwork {
    let spec = &record.spec;
    ObservedNetwork {
        id: record.id.clone(),
        name: spec.name.clone(),
        project: Some(spec.project.clone()),
        key: spec.key.clone(),
        spec: serde_json::to_value(spec).unwrap_or_default(),
        hash: label::config_hash(&spec.labels),
        labels: spec.labels.clone(),
        created: Some(record.created.into()),
        others,
    }
}

fn observed_volume(
    record: &VolumeRecord,
    spec: Option<serde_json::Value>,
    mountpoint: PathBuf,
) -> Option<ObservedVolume> {
    let label = |name: &str| record.labels.get(name).cloned();
    Some(ObservedVolume {
        name: record.name.parse().ok()?,
        project: label(label::PROJECT).and_then(|text| text.parse().ok()),
        mountpoint: Some(mountpoint),
        key: label(label::VOLUME).unwrap_or_default(),
        spec: spec.unwrap_or_default(),
        hash: label::config_hash(&record.labels),
        labels: record.labels.clone(),
        created: None,
    })
}

fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
