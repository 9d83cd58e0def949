//! What the caller decides about loading: files, directories, environment, profiles, switches.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::compose::model::Separator;

/// Everything that decides what is loaded. The loader itself reads no environment and no clock.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The directory of the command; absolute.
    pub cwd: PathBuf,
    /// The environment of the command, `COMPOSE_*` variables included.
    pub environment: BTreeMap<String, String>,
    /// The files of `-f`, or addresses on other machines; empty to look for files.
    pub files: Vec<PathBuf>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--project-name`.
    pub project_name: Option<String>,
    /// The profiles of `--profile`.
    pub profiles: Vec<String>,
    /// The files of `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// The services that the command names; their profiles become active.
    pub services: Vec<String>,
    /// `--compatibility` decides what stands between the parts of names.
    pub separator: Separator,
    /// Stages that are left out or added.
    pub switches: Switches,
}

/// Stages that a command can leave out or add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one stage, and most are one flag of the `config` command"
)]
pub struct Switches {
    /// Keeps `${...}` as written.
    pub no_interpolate: bool,
    /// Adds no implicit values.
    pub no_normalize: bool,
    /// Keeps relative paths.
    pub no_path_resolution: bool,
    /// Does not check that what is referred to exists.
    pub no_consistency: bool,
    /// Does not read `env_file`s.
    pub no_env_resolution: bool,
    /// Does not read `label_file`s.
    pub no_label_resolution: bool,
    /// Keeps networks, volumes, secrets and configs that no service uses.
    pub all_resources: bool,
    /// Checks that no two services have one `container_name`.
    pub container_names: bool,
}
