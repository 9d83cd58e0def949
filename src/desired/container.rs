//! One container with everything decided.

use super::{
    DeviceSpec, Healthcheck, Hooks, InjectedFile, Limits, LogSpec, MountSpec, NetworkMode,
    PortSpec, ProcessSpec, ResolverSpec, RestartPolicy, StopSpec, Ulimit,
};
use crate::value::{ContainerName, Duration, ImageRef, Platform, ProjectName, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One container as it should be, with nothing left to decide but what its image says.
///
/// What is `None` or empty is taken from the image where the image says something about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The final name, also when the container is created under a temporary one.
    pub name: ContainerName,
    /// The project that the container belongs to.
    pub project: ProjectName,
    /// The service that the container is a replica of.
    pub service: ServiceName,
    /// The number of the replica, from one.
    pub number: u32,
    /// The hash of what it has in common with the other replicas, the content of its files included.
    #[serde(default)]
    pub hash: String,
    /// Which image, and how it gets here.
    pub image: ImageSpec,
    /// What runs inside.
    pub process: ProcessSpec,
    /// How it is stopped.
    pub stop: StopSpec,
    /// The host name inside; the container's short id when nothing is said.
    pub hostname: Option<String>,
    /// The NIS domain name inside.
    pub domainname: Option<String>,
    /// What it is connected to.
    pub network: NetworkMode,
    /// How names are resolved inside.
    pub resolver: ResolverSpec,
    /// Ports published on the host.
    pub ports: Vec<PortSpec>,
    /// Ports that are declared but not published, such as `80/tcp`.
    pub expose: Vec<String>,
    /// The namespaces that are not the container's own.
    pub namespaces: Namespaces,
    /// Mounts, in the order in which they are written.
    pub mounts: Vec<MountSpec>,
    /// Secrets and configs that appear as files inside.
    pub files: Vec<InjectedFile>,
    /// How its health is found out; the image's own check when nothing is said.
    pub healthcheck: Option<Healthcheck>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// What it may do.
    pub security: Security,
    /// Kernel parameters inside, by name.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of its processes, by name such as `nofile`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Device nodes of the host that appear inside.
    pub devices: Vec<DeviceSpec>,
    /// Additional rules of the device cgroup, such as `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// The size of `/dev/shm`; 64 MiB when nothing is said.
    pub shm_size_bytes: Option<u64>,
    /// Limits of the whole container.
    pub limits: Limits,
    /// Where its output goes.
    pub logging: LogSpec,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
    /// All labels, those of [`super::label`] included.
    pub labels: BTreeMap<String, String>,
    /// Commands that run at points of its life.
    pub hooks: Hooks,
    /// Another OCI runtime to run it with, by its name on `PATH`.
    pub runtime: Option<String>,
    /// Whether a foreground `up` shows its output.
    pub attach: bool,
}

impl ContainerSpec {
    /// Returns the containers whose namespaces it joins, by the kind of namespace.
    pub fn joins(&self) -> BTreeSet<(Joined, ContainerName)> {
        let named = |mode: &Option<String>| {
            let name = mode.as_deref()?.strip_prefix("container:")?;
            name.parse::<ContainerName>().ok()
        };
        let network = match &self.network {
            NetworkMode::Container(container) | NetworkMode::Service { container, .. } => {
                Some(container.clone())
            }
            NetworkMode::Endpoints(_) | NetworkMode::None | NetworkMode::Host => None,
        };
        [
            (Joined::Network, network),
            (Joined::Ipc, named(&self.namespaces.ipc)),
            (Joined::Pid, named(&self.namespaces.pid)),
        ]
        .into_iter()
        .filter_map(|(kind, container)| Some((kind, container?)))
        .collect()
    }
}

/// A kind of namespace that a container may share with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Joined {
    /// Interfaces, addresses and ports.
    Network,
    /// Shared memory and message queues.
    Ipc,
    /// Process numbers.
    Pid,
}

/// Which image a container runs, and how it gets onto this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The image.
    pub reference: ImageRef,
    /// When it is fetched.
    pub pull: PullPolicy,
    /// For which platform; the machine's own when nothing is said.
    pub platform: Option<Platform>,
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Each time; nothing is transferred when the registry has the same image.
    Always,
    /// When it is not here.
    Missing,
    /// Never; it is an error when it is not here.
    Never,
    /// Never; it is built.
    Build,
    /// When the last time is longer ago than this.
    Every(Duration),
}

/// Namespaces that are shared or handled specially; `None` means one of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `host`, `shareable`, `private`, `none` or `container:NAME`.
    pub ipc: Option<String>,
    /// `host` or `container:NAME`.
    pub pid: Option<String>,
    /// `host`.
    pub uts: Option<String>,
    /// `host` or `private`.
    pub cgroup: Option<String>,
    /// `host` or a remapping of the engine.
    pub userns: Option<String>,
    /// The cgroup below which the container's own is made.
    pub cgroup_parent: Option<String>,
}

/// What a container may do beyond and below the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Nearly no confinement at all.
    pub privileged: bool,
    /// The root filesystem cannot be written.
    pub read_only: bool,
    /// Capabilities beyond the default ones.
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default ones.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`, `seccomp=…`, `apparmor=…`, `label=…`, `systempaths=unconfined`.
    pub options: Vec<String>,
}
