//! A folder with Compose files, and consort run in it with an environment that holds nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder of its own for one test.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a run said and how it ended.
#[must_use = "check the exit code with `.code` and what was said with `.stdout` and `.stderr`"]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// Makes a folder `demo` without any file.
    pub(crate) fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("demo")).unwrap();
        Self { folder }
    }

    /// Makes a folder `demo` with this `compose.yaml`.
    pub(crate) fn with(compose: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.file("compose.yaml", compose);
        sandbox
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("demo").join(name)
    }

    /// Runs consort in the folder.
    pub(crate) fn consort(&self, words: &[&str]) -> Said {
        self.consort_with(&[], words)
    }

    /// Runs consort in the folder with some variables.
    pub(crate) fn consort_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Said {
        let output = self.command(variables, words).output().unwrap();
        Said::of(self, &output)
    }

    /// Returns the command that runs consort in the folder.
    pub(crate) fn command(&self, variables: &[(&str, &str)], words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
        command
            .args(words)
            .current_dir(self.folder.path().join("demo"))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("CONSORT_STATE_DIR", self.folder.path().join("state"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }
}

impl Said {
    fn of(sandbox: &Sandbox, output: &Output) -> Self {
        let folder = sandbox.folder.path().to_string_lossy().into_owned();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, "/folder");
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}
