//! The project: what all files together say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::compose::model::{Extensions, FileObject, Model, Network, Places, Service, Volume};

/// Names of `external` networks and volumes that are in the files and not in the project.
#[derive(Debug, Clone, Default)]
pub struct UnusedExternal {
    /// The real names of the networks.
    pub networks: BTreeSet<String>,
    /// The real names of the volumes.
    pub volumes: BTreeSet<String>,
}

/// How many containers the services of a project may have together.
pub const CONTAINER_LIMIT: u64 = 10_000;

/// What stands between the parts of the names of containers and built images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// `-`
    #[default]
    Dash,
    /// `_`, as the first Docker Compose had it; `--compatibility` asks for it.
    Underscore,
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dash => "-",
            Self::Underscore => "_",
        })
    }
}

/// What gives a project its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameFrom {
    /// `--project-name`.
    Flag,
    /// `COMPOSE_PROJECT_NAME`.
    Variable,
    /// `name` in a file.
    File,
    /// The name of its directory, or of the repository that it came from.
    #[default]
    Directory,
}

/// A loaded project.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// Its name: the prefix of everything it owns.
    pub name: String,
    /// What gives it its name.
    pub name_from: NameFrom,
    /// What stands between the parts of names that are made of it.
    pub separator: Separator,
    /// The directory that relative paths start from.
    pub working_dir: PathBuf,
    /// The Compose files that were given, absolute.
    pub files: Vec<PathBuf>,
    /// The files of `--env-file` or `COMPOSE_ENV_FILES`, absolute.
    pub env_files: Vec<PathBuf>,
    /// The services that are switched on, by name.
    pub services: BTreeMap<String, Service>,
    /// The services that no active profile switches on.
    pub disabled_services: BTreeMap<String, Service>,
    /// The networks, by key; `default` is among them when a service uses it.
    pub networks: BTreeMap<String, Network>,
    /// The volumes, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// The secrets, by key.
    pub secrets: BTreeMap<String, FileObject>,
    /// The configs, by key.
    pub configs: BTreeMap<String, FileObject>,
    /// The models, by key.
    pub models: BTreeMap<String, Model>,
    /// The `external` networks and volumes that were left out because no service uses them.
    pub unused_external: UnusedExternal,
    /// The `x-*` keys of the top level.
    pub extensions: Extensions,
    /// The variables that interpolation saw: the caller's and those of `.env` files.
    pub environment: BTreeMap<String, String>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// Where every value was written.
    pub places: Places,
}

impl Project {
    /// Returns the name of the image that a service is built to when it names none.
    pub fn built_image(&self, service: &str) -> String {
        let (project, separator) = (&self.name, self.separator);
        format!("{project}{separator}{service}")
    }

    /// Returns the name of a service's container with this number when the service names none.
    pub fn container_name(&self, service: &str, number: u32) -> String {
        let (image, separator) = (self.built_image(service), self.separator);
        format!("{image}{separator}{number}")
    }
}
