//! What the caller asks for, before any context was read; [`prepare()`](super::prepare()) makes it ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::value::{GitSource, ImageRef, LocalImage, Platform};

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

/// Why a text is not the place of a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use `{text}` as a build context: {reason}")]
pub struct PlaceError {
    text: String,
    reason: String,
}

impl ContextPlace {
    /// Reads a folder, relative to `here`, or the URL of a repository.
    pub fn read(here: &Path, text: &str) -> Result<Self, PlaceError> {
        if !GitSource::is_meant(text) {
            return Ok(Self::Folder(here.join(text)));
        }
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        let address = text.split('#').next().unwrap_or_default();
        if is_http && address.strip_suffix(".git").is_none() {
            let reason = "the URL of a repository ends in `.git`, and archives behind URLs are not supported yet";
            return Err(refuse(text, reason));
        }
        git(text).map(Self::Git)
    }
}

impl NamedPlace {
    /// Reads a folder, relative to `here`, a repository, `docker-image://…` or `oci-layout://…`.
    pub fn read(here: &Path, text: &str) -> Result<Self, PlaceError> {
        if let Some(image) = text.strip_prefix("docker-image://") {
            let image = image.parse().map(Self::Image);
            return image.map_err(|error| refuse(text, error));
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Ok(Self::Image(ImageRef::Local(layout_at(here, layout))));
        }
        if let Some(target) = text.strip_prefix("target:") {
            return Err(refuse(text, format!("there is no target `{target}`")));
        }
        if GitSource::is_meant(text) {
            return git(text).map(Self::Git);
        }
        let folder = here.join(text);
        if !folder.is_dir() {
            return Err(refuse(text, "it is not a folder"));
        }
        Ok(Self::Folder(folder))
    }
}

fn refuse(text: &str, reason: impl ToString) -> PlaceError {
    PlaceError {
        text: text.to_owned(),
        reason: reason.to_string(),
    }
}

fn git(text: &str) -> Result<GitSource, PlaceError> {
    let source: Result<GitSource, _> = text.parse();
    source.map_err(|error| refuse(text, error.reason()))
}

/// Reads `DIR[:TAG][@DIGEST]`.
fn layout_at(here: &Path, layout: &str) -> LocalImage {
    let (path, digest) = match layout.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (layout, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    LocalImage::Oci {
        dir: here.join(path),
        tag: digest.or(tag).map(str::to_owned),
    }
}
