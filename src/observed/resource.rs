//! Networks, volumes and images as they are.

use crate::value::{
    Cidr, ContainerName, Digest, ImageRef, NetworkName, Place, Platform, ProjectName, VolumeName,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::SystemTime};

/// A network as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedNetwork {
    /// The engine's id; a network made again has another one.
    pub id: String,
    /// The name.
    pub name: NetworkName,
    /// The project that made it; nothing for one made by hand.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its key in the project's file.
    #[serde(default)]
    pub key: String,
    /// The spec it was made from; null when the engine has none.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The hash of that spec.
    #[serde(default)]
    pub hash: String,
    /// All labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    #[serde(default)]
    pub created: Option<SystemTime>,
    /// The containers of other projects than the one that was looked at that are connected to it.
    #[serde(default)]
    pub others: Vec<NetworkUser>,
}

/// A container that is connected to a network of another project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkUser {
    /// The container.
    pub container: ContainerName,
    /// Its project.
    pub project: ProjectName,
}

impl fmt::Display for NetworkUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, project } = self;
        write!(f, "container `{container}` of project `{project}`")
    }
}

/// A subnet that this machine uses already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OccupiedSubnet {
    /// The subnet.
    pub subnet: Cidr,
    /// What uses it.
    pub by: Occupant,
}

/// What uses a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupant {
    /// A network.
    Network {
        /// Its name.
        name: NetworkName,
        /// Its project.
        project: ProjectName,
        /// Where it is written.
        place: Option<Place>,
    },
    /// The machine itself, by a route out of one of its links.
    Link {
        /// The link's name.
        link: String,
    },
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network {
                name,
                project,
                place,
            } => {
                write!(f, "network `{name}` of project `{project}`")?;
                place
                    .as_ref()
                    .map_or(Ok(()), |place| write!(f, " ({place})"))
            }
            Self::Link { link } => write!(f, "a route of this machine on link `{link}`"),
        }
    }
}

/// A volume as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// The name.
    pub name: VolumeName,
    /// The project that made it; nothing for one made by hand.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// The folder of its data; nothing where the engine keeps none.
    #[serde(default)]
    pub mountpoint: Option<PathBuf>,
    /// Its key in the project's file; empty for an anonymous one.
    #[serde(default)]
    pub key: String,
    /// The spec it was made from; null when the engine has none.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The hash of that spec.
    #[serde(default)]
    pub hash: String,
    /// All labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    #[serde(default)]
    pub created: Option<SystemTime>,
}

/// An image as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedImage {
    /// The id: the digest of the image's configuration.
    pub id: String,
    /// What it was fetched or tagged as.
    pub references: Vec<ImageRef>,
    /// The platform it is for.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// The digest of the manifest that was fetched.
    #[serde(default)]
    pub manifest: Option<Digest>,
    /// The digest of the manifest that the registry would send now, where it was asked and said so.
    #[serde(default)]
    pub latest: Option<Digest>,
    /// The size of its unpacked layers.
    #[serde(default)]
    pub size_bytes: u64,
    /// When the image was made.
    #[serde(default)]
    pub created: Option<SystemTime>,
    /// When it was last fetched or tagged here.
    #[serde(default)]
    pub fetched: Option<SystemTime>,
}
