//! The labels by which projects are found again: Docker Compose's names, so that what people script
//! against keeps working.

use std::collections::BTreeMap;

/// What all of them start with; labels of users must not.
pub const PREFIX: &str = "com.docker.compose.";
/// The project.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service of a container.
pub const SERVICE: &str = "com.docker.compose.service";
/// The hash of the spec.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The number of the replica.
pub const CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
/// `True` for a container of `run`, else `False`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// The random part of the name of a container of `run`.
pub const SLUG: &str = "com.docker.compose.slug";
/// `True` for a container of `run --rm`: it goes once it has ended.
pub const REMOVE_AT_END: &str = "com.docker.compose.oneoff.remove";
/// The id of the image.
pub const IMAGE: &str = "com.docker.compose.image";
/// What the service depends on: `db:service_healthy:true,…`.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The version of this program.
pub const VERSION: &str = "com.docker.compose.version";
/// The project's directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The project's files, with commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// The project's environment files, with commas.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// The stage of a hook that runs in a container of its own.
pub const HOOK: &str = "com.docker.compose.hook";
/// The key of a network.
pub const NETWORK: &str = "com.docker.compose.network";
/// The key of a volume.
pub const VOLUME: &str = "com.docker.compose.volume";

/// Returns the hash of the spec that something with these labels was made from; empty where none is said.
pub fn config_hash(labels: &BTreeMap<String, String>) -> String {
    labels.get(CONFIG_HASH).cloned().unwrap_or_default()
}
