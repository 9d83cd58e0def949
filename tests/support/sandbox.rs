//! A project of its own for one test: folder, state directory, environment; and an end that checks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::checks::until;
use super::machine;
use super::run::{Run, Running};

/// One test's world. When it goes, the project is taken down and the probe must find nothing.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: TempDir,
    compose: PathBuf,
    env: BTreeMap<String, String>,
    transcript: RefCell<Vec<Run>>,
}

impl Sandbox {
    /// Writes `compose` as the project's file. `${BUSYBOX}` in it is an image with a shell.
    pub(crate) fn new(compose: &str) -> Self {
        let sandbox = Self::around(PathBuf::from("compose.yaml"));
        let path = sandbox.path("project/compose.yaml");
        fs::write(&path, compose).expect("the folder is ours");
        sandbox.at(path)
    }

    /// Uses a project that lies in the repository, in place.
    pub(crate) fn of_example(name: &str) -> Self {
        let file = machine::repository()
            .join("examples")
            .join(name)
            .join("compose.yaml");
        Self::around(file)
    }

    fn around(compose: PathBuf) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("consort-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        for name in ["project", "home", "runtime"] {
            fs::create_dir(folder.path().join(name)).expect("the folder is ours");
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path().join("runtime"), private).expect("the folder is ours");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut env = BTreeMap::from([
            (
                "PATH".into(),
                "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into(),
            ),
            ("HOME".into(), path("home")),
            ("LANG".into(), "C.UTF-8".into()),
            ("COLUMNS".into(), "100".into()),
            ("CONSORT_STATE_DIR".into(), path("state")),
            ("BUSYBOX".into(), machine::oci("busybox")),
        ]);
        if !machine::is_root() {
            env.insert("XDG_RUNTIME_DIR".into(), path("runtime"));
        }
        Self {
            folder,
            compose,
            env,
            transcript: RefCell::default(),
        }
    }

    fn at(mut self, compose: PathBuf) -> Self {
        self.compose = compose;
        self
    }

    /// Sets a variable for every command that follows.
    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Writes a file of the project.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path("project").join(name);
        let parent = path.parent().expect("a file has a parent");
        fs::create_dir_all(parent).expect("the folder is ours");
        fs::write(&path, text).expect("the folder is ours");
        path
    }

    /// Replaces the project's file, as an editor does.
    pub(crate) fn rewrite(&self, compose: &str) {
        fs::write(&self.compose, compose).expect("the folder is ours");
    }

    /// A path in the test's folder: `project`, `home`, `state` and `runtime` lie there.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs consort on the project, to its end.
    pub(crate) fn consort(&self, args: &[&str]) -> Run {
        self.consort_with(&[], args)
    }

    /// The same with further environment variables.
    pub(crate) fn consort_with(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        let run = self.start_with(env, args).wait();
        self.transcript.borrow_mut().push(run.clone());
        run
    }

    /// Runs consort with other files than the project's, and with the same state.
    pub(crate) fn other(&self, args: &[&str]) -> Run {
        self.other_with(&[], args)
    }

    /// The same with further environment variables.
    pub(crate) fn other_with(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .envs(&self.env)
            .envs(env.iter().copied())
            .current_dir(self.path("project"))
            .args(args);
        let run = Running::start(command).wait();
        self.transcript.borrow_mut().push(run.clone());
        run
    }

    /// Starts consort on the project, and does not wait.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.start_with(&[], args)
    }

    pub(crate) fn start_with(&self, env: &[(&str, &str)], args: &[&str]) -> Running {
        let mut command = self.command();
        command.args(args).envs(env.iter().copied());
        Running::start(command)
    }

    /// The command without its verb, for a test that changes more about it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .envs(&self.env)
            .current_dir(self.path("project"))
            .arg("--file")
            .arg(&self.compose);
        command
    }

    /// Returns the containers of the project, running or not, as `ps` tells of them.
    pub(crate) fn ps(&self) -> Vec<Value> {
        let run = self.consort(&["ps", "--all", "--format", "json"]);
        run.succeeds()
            .lines()
            .map(|line| serde_json::from_str(line).expect("`ps` prints one JSON object a line"))
            .collect()
    }

    /// Returns one field of a container of `service` (`State`, `Health`, `ExitCode`, `ID`, …).
    pub(crate) fn field(&self, service: &str, field: &str) -> Option<String> {
        let found = self.ps();
        let container = found.iter().find(|one| one["Service"] == service)?;
        let value = &container[field];
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }

    /// Runs a shell line in a service and returns what it printed, without the last newline.
    pub(crate) fn sh(&self, service: &str, line: &str) -> String {
        let run = self.consort(&["exec", "-T", service, "sh", "-c", line]);
        run.succeeds().trim_end().to_owned()
    }

    /// Returns what `service` has written so far, without prefixes.
    pub(crate) fn logs(&self, service: &str) -> String {
        let run = self.consort(&["logs", "--no-log-prefix", "--no-color", service]);
        run.succeeds()
    }

    /// Returns what the independent probe finds of this state directory, one thing a line.
    pub(crate) fn leftovers(&self, more: &[&str]) -> String {
        if reference().is_some() {
            return String::new();
        }
        let mut probe = Command::new(machine::repository().join("tests/probe"));
        probe.arg("--state").arg(self.path("state")).args(more);
        if !machine::is_root() {
            probe.env("XDG_RUNTIME_DIR", self.path("runtime"));
        }
        let run = Running::start(probe).wait();
        assert!(run.status.code() < Some(2), "the probe must work: {run}");
        run.stdout
    }

    /// Returns the ids of consort's own processes for this state directory: monitors and holders.
    pub(crate) fn own_processes(&self, title: &str) -> Vec<i32> {
        let found = self.leftovers(&[]);
        found
            .lines()
            .filter_map(|line| line.strip_prefix("process"))
            .filter(|line| line.contains(title))
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect()
    }

    /// Kills every process of consort and of its containers here, and waits until they are gone.
    pub(crate) fn kill_everything(&self) {
        until("the end of all processes", || {
            let found = self.own_processes("");
            for pid in &found {
                let pid = Pid::from_raw(*pid).expect("a process has a positive id");
                // Some go with others.
                kill_process(pid, Signal::KILL).ok();
            }
            found.is_empty().then_some(())
        });
    }

    /// Takes the project down with its volumes, and checks that nothing is left of it.
    pub(crate) fn ends_clean(&self) {
        let down = ["down", "--volumes", "--remove-orphans", "--timeout", "0"];
        drop(self.consort(&down).succeeds());
        let left = self.leftovers(&["--volumes"]);
        assert!(left.is_empty(), "`down` must leave nothing:\n{left}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if thread::panicking() {
            for run in self.transcript.borrow().iter() {
                eprintln!("\n{run}");
            }
            eprintln!("\nleft on the machine:\n{}", self.leftovers(&[]));
            let down = ["down", "--volumes", "--remove-orphans", "--timeout", "0"];
            drop(self.start(&down).wait());
            // So that one broken test does not spoil the next.
            self.kill_everything();
            return;
        }
        self.ends_clean();
    }
}

/// The program under test: the one cargo has just built.
///
/// `$CONSORT_TEST_REFERENCE` names another one, such as a script around `docker compose`: a scenario
/// about their common ground that the reference fails is a wrong scenario.
pub(crate) fn binary() -> PathBuf {
    reference().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_consort")))
}

fn reference() -> Option<PathBuf> {
    std::env::var_os("CONSORT_TEST_REFERENCE").map(PathBuf::from)
}
