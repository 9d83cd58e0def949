//! What the engine remembers of a container and a network: one record each, written before success.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desired::{ContainerSpec, NetworkSpec};
use crate::runtime::image::{ImageConfig, RootSource};
use crate::runtime::store::{Durability, Layout, StoreError, read_json, write_json};
use crate::value::{Cidr, ContainerName, NetworkName, ProjectName, Signal, VolumeName};

/// A container as it was wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub(super) id: String,
    /// The name it has now, which is a temporary one while it replaces another container.
    pub(super) name: ContainerName,
    /// When it was made.
    pub(super) created: Timestamp,
    /// What it should be.
    pub(super) spec: ContainerSpec,
    /// The id of its image.
    pub(super) image_id: String,
    /// What its image says about running it.
    pub(super) image_config: ImageConfig,
    /// What its root filesystem is assembled from.
    pub(super) root: RootSource,
    /// The volumes that it mounts, by their target.
    pub(super) volumes: Vec<VolumeUse>,
    /// Its addresses.
    pub(super) endpoints: Vec<Lease>,
}

/// A volume that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VolumeUse {
    /// Where it appears inside.
    pub(super) target: String,
    /// The volume.
    pub(super) name: VolumeName,
    /// Whether it belongs to this container alone.
    pub(super) anonymous: bool,
}

/// The addresses of a container on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// The network.
    pub(super) network: NetworkName,
    /// The network's id; one made again has another.
    pub(super) network_id: String,
    /// The container.
    pub(super) container: String,
    /// The project of the container.
    pub(super) project: ProjectName,
    /// IPv4 address.
    pub(super) ipv4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub(super) ipv6: Option<Ipv6Addr>,
    /// Hardware address.
    pub(super) mac: String,
    /// The link's name inside.
    pub(super) interface_name: String,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NetworkRecord {
    /// 64 hexadecimal digits.
    pub(super) id: String,
    /// When it was made.
    pub(super) created: Timestamp,
    /// What it should be.
    pub(super) spec: NetworkSpec,
    /// The name of its bridge.
    pub(super) link: String,
    /// IPv4 subnet.
    pub(super) ipv4: Option<SubnetRecord>,
    /// IPv6 subnet.
    pub(super) ipv6: Option<SubnetRecord>,
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubnetRecord {
    /// The subnet.
    pub(super) subnet: Cidr,
    /// The address of its bridge.
    pub(super) gateway: std::net::IpAddr,
    /// The part of it that addresses are taken from.
    pub(super) range: Option<Cidr>,
}

impl ContainerRecord {
    /// Reads the record in a container's folder; `None` where there is none.
    pub(super) fn find(dir: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&dir.join("record.json"))
    }

    /// Writes the record into the container's folder.
    pub(super) fn write(&self, layout: &Layout, durability: Durability) -> Result<(), StoreError> {
        let dir = layout.container(&self.spec.project, &self.id);
        write_json(&dir.join("record.json"), self, durability)
    }

    /// Returns the signal that asks it to end: the file's, the image's, or SIGTERM.
    pub(super) fn stop_signal(&self) -> i32 {
        let own = self.spec.stop.signal;
        let image = || self.image_config.stop_signal.as_deref()?.parse().ok();
        own.or_else(image).unwrap_or(Signal::TERM).number()
    }
}

impl NetworkRecord {
    /// Reads the record in a network's folder; `None` where there is none.
    pub(super) fn find(dir: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&dir.join("network.json"))
    }

    /// Writes the record into the network's folder.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), StoreError> {
        let path = layout.network(&self.spec.name).join("network.json");
        write_json(&path, self, Durability::Cached)
    }

    /// Returns its subnets, IPv4 first.
    pub(super) fn subnets(&self) -> impl Iterator<Item = &SubnetRecord> {
        self.ipv4.iter().chain(&self.ipv6)
    }
}

/// Returns a new id: 64 hexadecimal digits that nobody can guess.
pub(super) fn new_id() -> std::io::Result<String> {
    let mut random = [0_u8; 32];
    let mut filled = 0;
    while filled < random.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut random[filled..], flags)?;
    }
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns the names of the folders in `dir`; none where it is missing.
pub(super) fn folders(dir: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Read {
        path: dir.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
