//! How a service's image is built.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{Field, Form, containers, record};
use crate::compose::model::outline;
use crate::compose::model::{ExtraHosts, Grant, Ulimit};
use crate::compose::tree::Node;
use crate::value::ByteSize;

record! {
    /// The `build` section of a service.
    Build {
        /// The directory, or the URL, that the build reads.
        context: Option<String> = "context",
        /// The Dockerfile, relative to the context.
        dockerfile: Option<String> = "dockerfile",
        /// The Dockerfile's text.
        dockerfile_inline: Option<String> = "dockerfile_inline",
        /// Extra privileges that the build may use.
        entitlements: Vec<String> = "entitlements",
        /// Build arguments; `None` for one that was not found in the environment.
        args: BTreeMap<String, Option<String>> = "args",
        /// Whether and how provenance is attested.
        provenance: Option<String> = "provenance",
        /// Whether and how a bill of materials is attested.
        sbom: Option<String> = "sbom",
        /// SSH agents and keys that the build may use.
        ssh: SshKeys = "ssh",
        /// Labels of the image.
        labels: BTreeMap<String, String> = "labels",
        /// Where cached steps are read from.
        cache_from: Vec<String> = "cache_from",
        /// Where cached steps are written to.
        cache_to: Vec<String> = "cache_to",
        /// Builds every step again.
        no_cache: bool = "no_cache",
        /// Stages that are built again.
        no_cache_filter: Vec<String> = "no_cache_filter",
        /// Further named contexts.
        additional_contexts: BTreeMap<String, String> = "additional_contexts",
        /// Pulls base images even when they are present.
        pull: bool = "pull",
        /// Host names known while building.
        extra_hosts: ExtraHosts = "extra_hosts",
        /// Isolation technology (Windows).
        isolation: Option<String> = "isolation",
        /// The network of `RUN` steps.
        network: Option<String> = "network",
        /// The stage to build.
        target: Option<String> = "target",
        /// Secrets that the build may read.
        secrets: Vec<Grant> = "secrets",
        /// The size of `/dev/shm` while building.
        shm_size: Option<ByteSize> = "shm_size",
        /// Further names of the image.
        tags: Vec<String> = "tags",
        /// Limits while building.
        ulimits: BTreeMap<String, Ulimit> = "ulimits",
        /// The platforms to build for.
        platforms: Vec<String> = "platforms",
        /// Builds with all privileges.
        privileged: bool = "privileged",
    }
}
containers!(Build);

/// One SSH agent socket or key that a build may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// Its name in the Dockerfile.
    pub id: String,
    /// The key or socket; the user's agent when missing.
    pub path: Option<String>,
}

/// The SSH keys of a build, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshKeys(pub Vec<SshKey>);

impl Field for SshKeys {
    fn read(node: &Node, _: &mut Vec<Diagnostic>) -> Self {
        let keys = node
            .as_map()
            .into_iter()
            .flatten()
            .map(|(id, entry)| SshKey {
                id: id.clone(),
                path: (!entry.node.is_null()).then(|| entry.node.value.to_plain()),
            });
        Self(keys.collect())
    }

    fn schema() -> Json {
        outline::list(outline::text())
    }

    fn print(&self, _: Form) -> Option<Json> {
        let text = |key: &SshKey| match key.path.as_deref().filter(|path| !path.is_empty()) {
            // Docker Compose prints `"id": path` here, which is not JSON; a list of `id=path`
            // is what the file may contain.
            Some(path) => Json::String(format!("{}={path}", key.id)),
            None => Json::String(key.id.clone()),
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(text).collect())
    }
}
