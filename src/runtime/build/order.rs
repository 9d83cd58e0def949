//! What the caller asks for, before any context was read; [`prepare`](super::prepare) makes it ready.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::value::{GitSource, ImageRef, Platform};

use super::graph::ContextName;
use super::request::{CacheUse, RunSettings};

/// One build, for any number of platforms.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where the context is.
    pub context: ContextPlace,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfilePlace,
    /// The stage to build; none means the last one.
    pub target: Option<String>,
    /// `--build-arg`s.
    pub args: BTreeMap<String, String>,
    /// `--label`s.
    pub labels: BTreeMap<String, String>,
    /// What the image is for; none means this machine.
    pub platforms: Vec<Platform>,
    /// Named contexts.
    pub named: BTreeMap<ContextName, NamedPlace>,
    /// How steps run.
    pub run: RunSettings,
    /// Which steps may come from the cache.
    pub cache: CacheUse,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    pub epoch: Option<i64>,
}

/// Where a build context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// There is none.
    Nothing,
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of a repository.
    Git(GitSource),
    /// An archive, compressed or not.
    Archive(Vec<u8>),
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfilePlace {
    /// In the context under its usual name.
    Usual,
    /// In the context under another name.
    InContext(PathBuf),
    /// A file of this machine.
    File(PathBuf),
    /// Its text.
    Text(String),
}

/// Where a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedPlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of a repository.
    Git(GitSource),
    /// An image.
    Image(ImageRef),
}
