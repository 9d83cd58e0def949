//! One container as it is.

use crate::value::{ContainerName, NetworkName, ServiceName, VolumeName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

/// One container as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedContainer {
    /// The engine's id, 64 hexadecimal digits.
    pub id: String,
    /// The name it has now.
    pub name: ContainerName,
    /// The name that it keeps: another one while it stands in for a container that it replaces.
    pub final_name: ContainerName,
    /// The service it is a replica of.
    pub service: ServiceName,
    /// The number of the replica.
    pub number: u32,
    /// Whether it is a container of `run` or of a hook.
    pub oneoff: OneOff,
    /// Whether it runs.
    pub state: RunState,
    /// Whether it runs and is being stopped: a command asked for that and may be gone.
    pub is_stopping: bool,
    /// What its health check says.
    pub health: Health,
    /// The exit code of the last run, where one ended and the code is known.
    pub exit_code: Option<i32>,
    /// The spec it was made from, complete.
    pub spec: StoredSpec,
    /// The hash of that spec.
    pub hash: String,
    /// The image as it was asked for.
    pub image: String,
    /// The id of the image it was made from.
    pub image_id: String,
    /// What its first process was started as, on one line.
    pub command: String,
    /// The ports that are published now.
    pub ports: Vec<ObservedPort>,
    /// The networks it is connected to, also while it is stopped.
    pub endpoints: BTreeMap<NetworkName, ObservedEndpoint>,
    /// The containers whose namespaces it joins.
    pub joins: BTreeMap<ContainerName, Join>,
    /// The volumes it mounts, anonymous ones included.
    pub volumes: BTreeSet<VolumeName>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The process id of its first process, while it runs.
    pub pid: Option<u32>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When it last started.
    pub started: Option<SystemTime>,
    /// When it last ended.
    pub finished: Option<SystemTime>,
    /// How often it was restarted by its policy since then.
    pub restarts: u32,
}

impl ObservedContainer {
    /// Whether this is a container of `service` that `up` looks after.
    pub fn is_replica_of(&self, service: &ServiceName) -> bool {
        self.oneoff == OneOff::No && self.service == *service
    }

    /// Whether it was made by `run`.
    pub fn is_of_run(&self) -> bool {
        matches!(self.oneoff, OneOff::Run | OneOff::RunAndRemove)
    }

    /// Whether it was made by `run --rm`, has ended, and waits for its removal.
    pub fn is_spent(&self) -> bool {
        self.oneoff == OneOff::RunAndRemove
            && matches!(self.state, RunState::Exited | RunState::Dead)
    }

    /// Whether processes of it exist, frozen ones included.
    pub fn is_alive(&self) -> bool {
        match self.state {
            RunState::Running | RunState::Paused | RunState::Restarting => true,
            RunState::Created | RunState::Exited | RunState::Removing | RunState::Dead => false,
        }
    }
}

/// How a container that runs is joined to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Both are in the same namespaces, or one of them does not run.
    Whole,
    /// It is still in namespaces that the other one had before it started anew.
    Lost,
}

/// The spec that something was made from, as its engine keeps it. Most are never looked into, because a hash says
/// that they are what is wanted; those that are become data then.
#[derive(Clone, Debug)]
pub struct StoredSpec(Arc<dyn Spec>);

impl StoredSpec {
    /// Keeps a spec.
    pub fn new(spec: impl Serialize + fmt::Debug + Send + Sync + 'static) -> Self {
        Self(Arc::new(spec))
    }

    /// Returns the spec as data; null where it cannot be told as data.
    pub fn to_value(&self) -> Value {
        self.0.to_value()
    }
}

impl PartialEq for StoredSpec {
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

/// Whatever can become data.
trait Spec: fmt::Debug + Send + Sync {
    fn to_value(&self) -> Value;
}

impl<T: Serialize + fmt::Debug + Send + Sync> Spec for T {
    fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Whether a container is a replica that `up` looks after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneOff {
    /// It is.
    #[default]
    No,
    /// It was made by `run`.
    Run,
    /// It was made by `run --rm`, and goes once it has ended.
    RunAndRemove,
    /// It was made for a hook.
    Hook,
}

/// Whether a container runs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It never started.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended, and its policy is about to start it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// It could not be removed completely.
    Dead,
}

impl RunState {
    /// The state as `ps` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a container's health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is none.
    #[default]
    None,
    /// Nothing yet.
    Starting,
    /// It passes.
    Healthy,
    /// It failed too often.
    Unhealthy,
}

impl Health {
    /// The health as `ps` shows it; nothing without a check.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A published port as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedPort {
    /// The address of the host that listens.
    pub host_ip: IpAddr,
    /// The port of the host; nothing for one that is not published.
    pub published: Option<u16>,
    /// The port of the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// How a container hangs on a network, as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObservedEndpoint {
    /// The id of the network that it was connected to.
    pub network_id: String,
    /// Its IPv4 address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac_address: Option<String>,
    /// All names under which others on the network find it.
    pub aliases: Vec<String>,
}
