//! One `git` command: its fixed settings, its variables, what it says when it fails.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::GitError;
use crate::runtime::kernel::program::{Ended, Program};

/// How long `git` may neither say anything nor end.
const SILENCE_LIMIT_S: u16 = 120;
/// How much of what it says is repeated.
const SAID_LIMIT: usize = 300;

/// Settings that no configuration changes.
const SETTINGS: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.templateDir=",
    "advice.detachedHead=false",
    "protocol.version=2",
    // A server that sends next to nothing is left.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
];

/// Variables that speak of another repository, as those that hooks are run with.
const OTHER_REPOSITORY: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The installed `git`, with the variables that it is run with.
#[derive(Debug, Clone)]
pub struct Git {
    environment: BTreeMap<String, String>,
}

impl Git {
    /// Takes the user's variables: `PATH`, proxies, credentials, keys.
    ///
    /// `git` may not ask questions, and may reach others by http, https, ssh and its own protocol alone.
    pub fn new(user: &BTreeMap<String, String>) -> Self {
        let mut environment = user.clone();
        environment.retain(|name, _| !OTHER_REPOSITORY.contains(&name.as_str()));
        let has_ssh = ["GIT_SSH", "GIT_SSH_COMMAND"]
            .iter()
            .any(|name| environment.contains_key(*name));
        if !has_ssh {
            let ssh = "ssh -o ControlMaster=no -o BatchMode=yes -o ConnectTimeout=10";
            environment.insert("GIT_SSH_COMMAND".to_owned(), ssh.to_owned());
        }
        for (name, value) in [
            ("GIT_ALLOW_PROTOCOL", "http:https:ssh:git"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("LC_ALL", "C"),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        Self { environment }
    }

    /// Runs `git` in a directory; `act` says what for, in errors.
    pub(super) fn run(
        &self,
        directory: &Path,
        act: &str,
        words: &[&OsStr],
    ) -> Result<String, GitError> {
        let ended = self.end_of(directory, words)?;
        if ended.code == Some(0) {
            return Ok(String::from_utf8_lossy(&ended.output).into_owned());
        }
        Err(refused(act, &ended))
    }

    /// Runs `git` and returns how it ended.
    pub(super) fn end_of(&self, directory: &Path, words: &[&OsStr]) -> Result<Ended, GitError> {
        let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
        let mut args: Vec<&OsStr> = settings.map(OsStr::new).collect();
        args.extend_from_slice(words);
        let program = Program {
            name: "git",
            args: &args,
            environment: &self.environment,
            directory,
            silence_limit_s: SILENCE_LIMIT_S,
        };
        program.run().map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                return GitError::NotInstalled;
            }
            GitError::Run { source }
        })
    }
}

/// Returns what `git` gave as its reason.
pub(super) fn refused(act: &str, ended: &Ended) -> GitError {
    let text = String::from_utf8_lossy(&ended.errors);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said: Vec<&str> = lines
        .map(|line| line.strip_prefix("fatal: ").unwrap_or(line))
        .collect();
    let said: String = said.join("; ").chars().take(SAID_LIMIT).collect();
    let silent = || match ended.code {
        Some(code) => format!("`git` ended with {code}"),
        None => "`git` was killed".to_owned(),
    };
    GitError::Refused {
        act: act.to_owned(),
        said: if said.is_empty() { silent() } else { said },
    }
}
