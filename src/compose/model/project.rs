//! The project: what all files together say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::compose::model::{Extensions, FileObject, Model, Network, Places, Service, Volume};

/// A loaded project.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// Its name: the prefix of everything it owns.
    pub name: String,
    /// The directory that relative paths start from.
    pub working_dir: PathBuf,
    /// The Compose files that were given, absolute.
    pub files: Vec<PathBuf>,
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
    /// The `x-*` keys of the top level.
    pub extensions: Extensions,
    /// The variables that interpolation saw: the caller's and those of `.env` files.
    pub environment: BTreeMap<String, String>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// Where every value was written.
    pub places: Places,
}
