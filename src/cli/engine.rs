//! The surroundings → a connection to the engine; an engine's error → advice.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{CommandError, ExitStatus};
use crate::engine::embedded::{Embedded, Options};
use crate::engine::{Engine, EngineError};
use crate::runtime::image::{Credentials, ImageError, RegistrySettings};
use crate::runtime::store::run_base;

/// Registries that are asked before others: `docker.io=http://127.0.0.1:5000,…`.
const MIRRORS: &str = "CONSORT_REGISTRY_MIRRORS";

/// Connects to the engine; `state_dir` is what was typed.
pub(super) fn connect(
    environment: &Environment,
    state_dir: Option<&Path>,
) -> Result<Box<dyn Engine>, CommandError> {
    Ok(Box::new(embedded(environment, state_dir)?))
}

/// Opens the embedded engine, for what only it has.
pub(super) fn embedded(
    environment: &Environment,
    state_dir: Option<&Path>,
) -> Result<Embedded, CommandError> {
    let options = Options {
        state_dir: state_directory(environment, state_dir),
        run_base: run_base(
            environment.get("XDG_RUNTIME_DIR").map(Path::new),
            environment.user_id(),
        ),
        registries: registries(environment)
            .map_err(|error| CommandError::room(ExitStatus::Usage, error))?,
        credentials: credentials(environment),
        variables: environment.variables().clone(),
    };
    Ok(Embedded::open(options)?)
}

/// Reads the variable, else the user's file, else the machine's.
pub(super) fn registries(environment: &Environment) -> Result<RegistrySettings, ImageError> {
    if let Some(list) = environment.get(MIRRORS) {
        return RegistrySettings::from_list(MIRRORS, list);
    }
    let own = match environment.get("XDG_CONFIG_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => environment.home().join(".config"),
    };
    for dir in [own.as_path(), Path::new("/etc")] {
        let file = dir.join("consort/registries.json");
        if let Some(settings) = RegistrySettings::load(&file)? {
            return Ok(settings);
        }
    }
    Ok(RegistrySettings::default())
}

/// Returns what is shown to registries that ask.
pub(super) fn credentials(environment: &Environment) -> Credentials {
    let dir = match environment.get("DOCKER_CONFIG") {
        Some(dir) => PathBuf::from(dir),
        None => environment.home().join(".docker"),
    };
    Credentials::DockerConfig(dir.join("config.json"))
}

fn state_directory(environment: &Environment, typed: Option<&Path>) -> PathBuf {
    let named = typed.or_else(|| environment.get("CONSORT_STATE_DIR").map(Path::new));
    match named {
        Some(dir) => environment.working_directory().join(dir),
        None if environment.is_root() => PathBuf::from("/var/lib/consort"),
        None => match environment.get("XDG_DATA_HOME") {
            Some(data) => Path::new(data).join("consort"),
            None => environment.home().join(".local/share/consort"),
        },
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let is_unreachable = matches!(error, EngineError::Unreachable { .. });
        let status = if is_unreachable {
            ExitStatus::Engine
        } else {
            ExitStatus::Failed
        };
        let hints = advice(&error);
        hints
            .into_iter()
            .fold(Self::room(status, error), Self::hint)
    }
}

/// Returns what the user can do about an engine's error.
pub(super) fn advice(error: &EngineError) -> Option<String> {
    match error {
        EngineError::PortTaken {
            holder: Some(holder),
            ..
        } => Some(match (&holder.container, &holder.project) {
            (Some(container), Some(project)) => {
                format!("container `{container}` of project `{project}` publishes that port")
            }
            (_, _) => format!("`{}` (pid {}) listens there", holder.command, holder.pid),
        }),
        EngineError::ImageNotFound { tried, .. } if !tried.is_empty() => {
            Some(format!("looked in {}", tried.join(", ")))
        }
        EngineError::NameTaken {
            project: Some(project),
            ..
        } => Some(format!(
            "it belongs to project `{project}`: `consort -p {project} down` frees it"
        )),
        EngineError::ProjectLocked { .. } => Some("without `--no-wait` we wait for it".to_owned()),
        EngineError::ContainerNotFound { .. } => Some("`consort ps -a` lists them".to_owned()),
        EngineError::NotRunning { .. } => Some("`consort start` starts it".to_owned()),
        EngineError::Ended { name, .. } => Some(format!("`consort logs` shows what `{name}` said")),
        EngineError::Unhealthy { output, .. } | EngineError::HookFailed { output, .. }
            if !output.trim().is_empty() =>
        {
            Some(format!("it said: {}", output.trim()))
        }
        EngineError::BuildFailed { said, .. } if !said.trim().is_empty() => {
            Some(said.trim_end().to_owned())
        }
        EngineError::NetworkNotFound { .. } | EngineError::VolumeNotFound { .. } => {
            Some("it is `external`: make it first, or remove `external`".to_owned())
        }
        EngineError::Unreachable { .. }
        | EngineError::Removed { .. }
        | EngineError::ImageNotFound { .. }
        | EngineError::NameTaken { .. }
        | EngineError::PortTaken { .. }
        | EngineError::Unhealthy { .. }
        | EngineError::TimedOut { .. }
        | EngineError::NoHealthcheck { .. }
        | EngineError::HookFailed { .. }
        | EngineError::BuildFailed { .. }
        | EngineError::NotSupported { .. }
        | EngineError::Act { .. } => None,
    }
}
