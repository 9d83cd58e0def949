//! How the image of a service is built.

use super::{Content, Ulimit};
use crate::value::{Digest, ImageRef, Platform, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// A build with everything decided but what its files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// What the image is called.
    pub image: ImageRef,
    /// Its further names.
    pub tags: Vec<ImageRef>,
    /// What it is for; this machine when nothing is said.
    pub platform: Option<Platform>,
    /// When it is built.
    pub when: BuildWhen,
    /// The folder or the URL of the context.
    pub context: String,
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage; the last one when nothing is said.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Named contexts.
    pub contexts: BTreeMap<String, BuildContext>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, BuildSecret>,
    /// SSH agents and keys by id; the user's agent when nothing is said.
    pub ssh: BTreeMap<String, Option<PathBuf>>,
    /// Whether every step is done again.
    pub no_cache: bool,
    /// Stages of which every step is done again.
    pub no_cache_filter: Vec<String>,
    /// Whether base images are fetched again.
    pub pull: bool,
    /// The network of steps.
    pub network: BuildNetwork,
    /// Hosts that steps know.
    pub extra_hosts: Vec<(String, Vec<IpAddr>)>,
    /// The size of `/dev/shm` in steps.
    pub shm_size_bytes: Option<u64>,
    /// Resource limits of processes in steps.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Freedoms that steps have, such as `network.host`.
    pub entitlements: Vec<String>,
}

impl BuildSpec {
    /// The builds of other services whose images this build starts from or copies from.
    pub fn others(&self) -> impl Iterator<Item = (&ServiceName, &Self)> {
        self.contexts.values().filter_map(|context| match context {
            BuildContext::Service { service, build, .. } => Some((service, build.as_deref()?)),
            BuildContext::Place(_) => None,
        })
    }
}

/// When an image is built that can also be fetched or is here already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildWhen {
    /// Each time: `pull_policy: build`.
    Always,
    /// When it is not here.
    Missing,
    /// When it is not here and no registry has it.
    Unfetched,
}

/// Where a Dockerfile is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dockerfile {
    /// In the context under its usual name.
    Usual,
    /// A path, relative to the context.
    Path(PathBuf),
    /// Its text.
    Text(String),
}

/// What a named context stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildContext {
    /// A folder, a URL or an image, as written.
    Place(String),
    /// The image of another service.
    Service {
        /// The service.
        service: ServiceName,
        /// Its image.
        image: ImageRef,
        /// How its image is built, where it is; the service itself may not be meant.
        build: Option<Box<BuildSpec>>,
    },
}

/// Where a secret of a build comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildSecret {
    /// A file, read when a step needs it.
    File(PathBuf),
    /// A value that does not print itself.
    Value {
        /// Its digest.
        digest: Digest,
        /// The bytes; absent in a spec that was read back.
        #[serde(skip)]
        content: Option<Content>,
    },
}

/// The network of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildNetwork {
    /// One of their own, with a way out.
    #[default]
    Default,
    /// None.
    None,
    /// That of the host.
    Host,
}
