//! All that a monitor needs to know of its container, in one file of the run folder.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::health::HealthCheck;
use super::log::LogOptions;
use super::restart::RestartPolicy;
use crate::runtime::container::description::Description;
use crate::runtime::container::seccomp::Seccomp;
use crate::runtime::container::users::Identity;
use crate::runtime::image::RootSource;
use crate::runtime::network::endpoint::EndpointConfig;
use crate::runtime::network::names::NameRecord;
use crate::runtime::network::publish::PublishConfig;
use crate::runtime::store::{Durability, StoreError, read_json, write_json};
use crate::value::Cidr;

/// One container, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its name now.
    pub name: String,
    /// The boot that this bundle is of.
    pub boot_id: String,
    /// Its folder in the state directory.
    pub container_dir: PathBuf,
    /// Its folder in the run directory.
    pub run_dir: PathBuf,
    /// Where events are appended.
    pub events: PathBuf,
    /// What every event says of it.
    pub event_attributes: BTreeMap<String, String>,
    /// What its root filesystem is assembled from.
    pub root: RootSource,
    /// The state directory, which the container must not see, and where its volumes are.
    pub state_dir: PathBuf,
    /// Those of its mounts that are volumes.
    pub volumes: Vec<BundleVolume>,
    /// Files mounted into it that belong to who it runs as.
    pub user_files: Vec<UserFile>,
    /// What it is, but for its network and root filesystem.
    pub container: Description,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// The cgroup below which its own is made.
    pub cgroup_parent: String,
    /// The name of its own cgroup: the installation and its id.
    pub cgroup_name: String,
    /// Its network.
    pub network: NetworkBundle,
    /// The socket of this user's holder; `None` as root.
    pub holder: Option<PathBuf>,
    /// The containers whose namespaces it shares, by their folder in the state directory.
    pub shared: SharedNamespaces,
    /// Its address by network name.
    pub addresses: BTreeMap<String, IpAddr>,
    /// What the name servers of its networks answer, by the folder of the network's records.
    pub names: BTreeMap<PathBuf, NameRecord>,
    /// Whether a small first process reaps and forwards signals.
    pub init: Init,
    /// Whether its standard input stays open.
    pub keep_stdin: bool,
    /// How its health is found out; `None` for not at all.
    pub health: Option<HealthCheck>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How much of its output is kept; `None` for none.
    pub log: Option<LogOptions>,
    /// The signal that asks it to end.
    pub stop_signal: i32,
}

/// A file that belongs to who a container runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its owner, where that is another user.
    pub uid: Option<u32>,
    /// Its group, where that is another one.
    pub gid: Option<u32>,
}

/// A volume that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleVolume {
    /// The volume.
    pub name: String,
    /// The target of the mount request that it is the source of.
    pub target: PathBuf,
    /// The directory inside the volume that is mounted instead of its root.
    pub subpath: Option<PathBuf>,
    /// Whether it gets the image's files.
    pub seeding: Seeding,
}

/// Whether a volume gets the image's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seeding {
    /// It does not.
    Never,
    /// It does when it is used for the first time.
    FirstUse,
}

/// Reads as whom the container of a run folder runs; `None` where it has not run since the boot.
pub(super) fn read_identity(run_dir: &Path) -> Result<Option<Identity>, StoreError> {
    read_json(&run_dir.join("identity.json"))
}

/// Writes as whom the container of a run folder runs.
pub(super) fn write_identity(run_dir: &Path, identity: &Identity) -> Result<(), StoreError> {
    write_json(&run_dir.join("identity.json"), identity, Durability::Cached)
}

/// Whether a small first process reaps and forwards signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Init {
    /// The program is the first process itself.
    No,
    /// Ours is.
    Yes,
}

/// A container's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkBundle {
    /// A namespace of its own.
    Own(OwnNetwork),
    /// The namespace of whoever starts it.
    Host,
    /// The namespace of another container; see [`SharedNamespaces::network`].
    Shared,
}

/// A network namespace of a container's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// What the outer ends of its interfaces carry.
    pub mark: String,
    /// Its interfaces; none for loopback alone.
    pub endpoints: Vec<EndpointConfig>,
    /// Its published ports.
    pub ports: Vec<PublishConfig>,
    /// The name servers that are asked for what no record answers; none when nothing may go out.
    pub upstream: Vec<SocketAddr>,
    /// The networks whose names it may ask for.
    pub networks: Vec<NamedNetwork>,
    /// Names that only this container uses, each for a name that its networks know.
    pub links: BTreeMap<String, String>,
}

/// A network whose names a container may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedNetwork {
    /// Its name.
    pub name: String,
    /// The folder of its name records.
    pub folder: PathBuf,
    /// Its subnets.
    pub subnets: Vec<Cidr>,
}

/// Folders of the containers whose namespaces a container shares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SharedNamespaces {
    /// Links, addresses and ports.
    pub network: Option<PathBuf>,
    /// Process numbers.
    pub pid: Option<PathBuf>,
    /// Shared memory and message queues.
    pub ipc: Option<PathBuf>,
}

impl Bundle {
    /// Reads the bundle in a run folder; `None` where there is none.
    pub fn find(run_dir: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&run_dir.join("bundle.json"))
    }

    /// Writes the bundle into its run folder.
    pub fn write(&self) -> Result<(), StoreError> {
        write_json(&self.run_dir.join("bundle.json"), self, Durability::Cached)
    }

    /// Returns the name records as they are to be written.
    pub(super) fn name_records(&self, healthy: bool) -> Vec<(PathBuf, NameRecord)> {
        let records = self.names.iter();
        records
            .map(|(dir, record)| {
                (
                    dir.clone(),
                    NameRecord {
                        healthy,
                        ..record.clone()
                    },
                )
            })
            .collect()
    }
}
