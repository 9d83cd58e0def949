//! What the process was started in: variables, working directory, user, clock; read here and nowhere else.
//!
//! **Invariant:** nothing below `cli/` reads any of these; it is given the values.
#![expect(
    clippy::disallowed_methods,
    reason = "this file is where the environment and the clock are read"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::error::CommandError;

/// The process's surroundings.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    /// `COMPOSE_*` variables of the project's files of variables.
    settings: BTreeMap<String, String>,
    working_directory: PathBuf,
    user_id: u32,
}

impl Environment {
    /// Reads the surroundings; variables that are not text are left out, as no Compose file could name their value.
    pub(super) fn read() -> Result<Self, CommandError> {
        let working_directory = std::env::current_dir()
            .map_err(|source| CommandError::cannot("find the working directory", source))?;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            variables,
            settings: BTreeMap::new(),
            working_directory,
            user_id: rustix::process::geteuid().as_raw(),
        })
    }

    /// Takes settings from the project's files of variables; what is set already stays as it is.
    pub(super) fn take_settings(&mut self, variables: BTreeMap<String, String>) {
        self.settings = variables;
        self.settings.retain(|name, _| name.starts_with("COMPOSE_"));
    }

    /// Returns the value of a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .or_else(|| self.settings.get(name))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Tells whether a variable says yes.
    pub(super) fn says_yes(&self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default();
        matches!(
            value.to_ascii_lowercase().as_str(),
            "1" | "t" | "true" | "y" | "yes" | "on"
        )
    }

    /// Returns all variables of the process.
    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Reads `NAME=VALUE`; `NAME` alone passes on our own value, if there is one.
    pub(super) fn named(&self, words: &[String]) -> BTreeMap<String, String> {
        words
            .iter()
            .filter_map(|word| match word.split_once('=') {
                Some((name, value)) => Some((name.to_owned(), value.to_owned())),
                None => Some((word.clone(), self.variables.get(word)?.clone())),
            })
            .collect()
    }

    /// Returns the directory that the command was started in.
    pub(super) fn working_directory(&self) -> &Path {
        &self.working_directory
    }

    /// Tells whether the process runs as root.
    pub(super) fn is_root(&self) -> bool {
        self.user_id == 0
    }

    /// Returns the number of the user that the process runs as.
    pub(super) fn user_id(&self) -> u32 {
        self.user_id
    }

    /// Returns the user's home directory, or the root where there is none.
    pub(super) fn home(&self) -> PathBuf {
        self.get("HOME")
            .map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }
}

/// Returns the time of day.
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Returns the time for measuring how long something takes.
pub(super) fn instant() -> Instant {
    Instant::now()
}
