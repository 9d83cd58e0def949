//! The caller's side: settings, a process to carry them out, and its answers.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::PROCESS_NAME;
use crate::runtime::container::bundle::Stdio;
use crate::runtime::container::cgroup::Unenforced;
use crate::runtime::container::description::Privilege;
use crate::runtime::container::error::ContainerError;
use crate::runtime::container::handle::Container;
use crate::runtime::container::init::{
    Act, MESSAGE_BYTES, Message, ProcessSettings, describe_exec, explain,
};
use crate::runtime::container::seccomp::Seccomp;
use crate::runtime::container::{settings, spec, users};
use crate::runtime::kernel::channel::{Channel, Received};
use crate::runtime::kernel::pidfd::{Exit, Pidfd};
use crate::runtime::kernel::reexec::{self, OwnProgram, Session, Start};
use crate::runtime::kernel::rooted::Root;
use crate::value::Signal;

/// A program to run in a running container.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The container.
    pub container: &'a Container,
    /// What the container's first process was made from: its settings hold where nothing else is said.
    pub first: &'a Process,
    /// The container's system call filter.
    pub seccomp: &'a Seccomp,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`, on top of the container's environment.
    pub env: Vec<String>,
    /// Who runs it, if not the container's user; as in Docker's `--user`.
    pub user: Option<String>,
    /// Where it begins, if not where the container did; must be there.
    pub cwd: Option<PathBuf>,
    /// Whether it is confined as the container is.
    pub privilege: Privilege,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// Our own program, to be run in between.
    pub own_program: &'a OwnProgram,
}

/// A program that was started in a container, behind its watcher.
///
/// Dropped, the program is ended with everything that it has started, and its watcher is reaped.
#[derive(Debug)]
pub struct Executed {
    channel: Channel,
    has_left: bool,
    watcher: Pidfd,
    program: String,
    cwd: PathBuf,
    terminal: Option<OwnedFd>,
    unenforced: Vec<Unenforced>,
}

/// What the watcher tells of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Runs,
    Ended(Exit),
}

impl Executed {
    /// Waits until the program runs, or says why it does not; the watcher sees to it that this ends.
    pub fn wait_until_it_runs(&mut self) -> Result<(), ContainerError> {
        let mut buffer = [0; MESSAGE_BYTES];
        let received = self.channel.receive(&mut buffer);
        self.understand(&buffer, received).map(drop)
    }

    /// Waits until the program has ended and returns how.
    pub fn wait(&mut self) -> Result<Exit, ContainerError> {
        loop {
            let mut buffer = [0; MESSAGE_BYTES];
            let received = self.channel.receive(&mut buffer);
            if let Told::Ended(exit) = self.understand(&buffer, received)? {
                return Ok(exit);
            }
        }
    }

    /// Returns how the program ended, once it has. Does not wait.
    pub fn exit(&mut self) -> Result<Option<Exit>, ContainerError> {
        loop {
            let mut buffer = [0; MESSAGE_BYTES];
            let received = match self.channel.try_receive(&mut buffer) {
                Err(Errno::AGAIN) => return Ok(None),
                received => received,
            };
            if let Told::Ended(exit) = self.understand(&buffer, received)? {
                return Ok(Some(exit));
            }
        }
    }

    fn understand(
        &mut self,
        buffer: &[u8],
        received: Result<Received, Errno>,
    ) -> Result<Told, ContainerError> {
        let act = "wait for the program in the container";
        let received = received.map_err(ContainerError::call(act))?;
        match Message::from_bytes(&buffer[..received.length]) {
            Some(Message::Ready) => {
                self.terminal = received.fd;
                Ok(Told::Runs)
            }
            Some(Message::Ended(exit)) => Ok(Told::Ended(exit)),
            Some(Message::Failed(failure)) if failure.act == Act::WorkingDirectory => {
                Err(ContainerError::WorkingDirectory {
                    path: self.cwd.clone(),
                    source: failure.source(),
                })
            }
            Some(Message::Failed(failure)) => {
                let words = || describe_exec(failure);
                Err(explain(&self.program, failure, words))
            }
            Some(Message::Start | Message::Made(_) | Message::Leave) => Ok(Told::Nothing),
            None => Err(ContainerError::ProgramLost),
        }
    }

    /// Takes the caller's end of the terminal, if there is one.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Returns what of the request could not be had on this machine.
    pub fn unenforced(&self) -> &[Unenforced] {
        &self.unenforced
    }

    /// Lets the program go on without its caller.
    pub fn leave(mut self) -> Result<(), ContainerError> {
        let act = "leave the program in the container";
        let left = Message::Leave.send(&self.channel, None);
        left.map_err(ContainerError::call(act))?;
        self.has_left = true;
        Ok(())
    }
}

impl Drop for Executed {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        // Nothing is left to be told to a watcher that is gone.
        self.channel.close().ok();
        // The watcher waits for nothing without a limit either. One that is late is not waited for.
        let ended = self.watcher.wait_until_ended(Some(END_LIMIT_MS));
        if !ended.unwrap_or(true) {
            drop(self.watcher.signal(Signal::KILL.number()));
            drop(self.watcher.wait_until_ended(Some(END_LIMIT_MS)));
        }
        drop(self.watcher.exit(0));
    }
}

impl AsFd for Executed {
    /// Returns what to poll for news of the program.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// How long the watcher may take to end a program.
const END_LIMIT_MS: u64 = 3_000;

/// What the watcher is told; descriptors go beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExecSettings {
    pub(super) process: ProcessSettings,
    /// The number of the container's first process, whose handle comes first.
    pub(super) pid: i32,
    /// Rows and columns of the terminal to be made.
    pub(super) terminal: Option<(u16, u16)>,
    /// How many `tasks` files of v1 cgroups there are.
    pub(super) tasks: usize,
    /// Whether a v2 cgroup comes after them.
    pub(super) has_v2: bool,
    /// Whether three files for descriptors 0, 1 and 2 come last.
    pub(super) has_files: bool,
}

/// Begins to start a program in a running container; never waits for anything in the container.
pub fn begin(request: ExecRequest<'_>) -> Result<Executed, ContainerError> {
    if request.container.cgroup().is_paused() {
        return Err(ContainerError::setting(
            "the container of a new program",
            &request.container.process().pid().to_string(),
            "it is paused",
        ));
    }
    let changed = process_of(&request)?;
    let seccomp = match request.privilege {
        Privilege::Confined => request.seccomp,
        Privilege::Privileged => &Seccomp::Unconfined,
    };
    let cwd = changed.cwd().clone();
    let (process, unenforced) = settings::of(&changed, seccomp)?;
    let program = process.args.first().cloned().unwrap_or_default();
    let (channel, theirs) = Channel::pair().map_err(ContainerError::call("make a channel"))?;
    let own_program = request.own_program;
    let (settings, fds) = pack(request.container, process, request.stdio)?;
    let fds = [in_memory(&settings)?, theirs.into_fd()]
        .into_iter()
        .chain(fds)
        .collect();
    let watcher = reexec::start(
        own_program,
        Start {
            args: vec![PROCESS_NAME.to_owned()],
            env: Vec::new(),
            stdio: [null()?, null()?, null()?],
            fds,
            // The terminal of the caller can stop the caller, but not the watcher.
            session: Session::New,
        },
    )
    .map_err(ContainerError::kernel("start a program in the container"))?;
    Ok(Executed {
        channel,
        has_left: false,
        watcher: watcher.process,
        program,
        cwd,
        terminal: None,
        unenforced,
    })
}

/// Returns the container's first process with the program that is asked for.
fn process_of(request: &ExecRequest<'_>) -> Result<Process, ContainerError> {
    let mut process = request.first.clone();
    let mut env = process.env().clone().unwrap_or_default();
    if let Some(user) = &request.user {
        let root = root_of(request.container)?;
        let before = users::resolve(&root, &process.user().uid().to_string(), &[])?;
        let identity = users::resolve(&root, user, &[])?;
        let own_home = format!("HOME={}", before.home);
        // Another user's home, unless the container's own was chosen on purpose.
        for entry in env.iter_mut().filter(|entry| **entry == own_home) {
            *entry = format!("HOME={}", identity.home);
        }
        process
            .user_mut()
            .set_uid(identity.uid)
            .set_gid(identity.gid);
        process
            .user_mut()
            .set_additional_gids(Some(identity.groups));
    }
    for entry in &request.env {
        let Some((name, _)) = entry.split_once('=') else {
            continue;
        };
        env.retain(|other| other.split_once('=').is_none_or(|(known, _)| known != name));
        env.push(entry.clone());
    }
    let terminal = matches!(request.stdio, Stdio::Terminal { .. });
    if terminal && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    process
        .set_env(Some(env))
        .set_args(Some(request.args.clone()))
        .set_terminal(Some(terminal));
    if let Some(cwd) = &request.cwd {
        process.set_cwd(cwd.clone());
    }
    if request.privilege == Privilege::Privileged {
        process.set_capabilities(Some(spec::all_capabilities()));
        process
            .set_no_new_privileges(Some(false))
            .set_apparmor_profile(None);
    }
    Ok(process)
}

/// Opens the container's root, and makes sure that it still was the container's.
fn root_of(container: &Container) -> Result<Root, ContainerError> {
    let act = "look into the container";
    let process = container.process();
    let path = format!("/proc/{}/root", process.pid());
    let root = Root::open(Path::new(&path)).map_err(ContainerError::kernel(act))?;
    if process.has_ended().map_err(ContainerError::kernel(act))? {
        return Err(ContainerError::EndedEarly);
    }
    Ok(root)
}

/// Puts the settings and the descriptors they speak of together, from the third on.
fn pack(
    container: &Container,
    process: ProcessSettings,
    stdio: Stdio,
) -> Result<(ExecSettings, Vec<OwnedFd>), ContainerError> {
    let act = "copy the container's handle";
    let target = container
        .process()
        .try_clone()
        .map_err(ContainerError::kernel(act))?;
    let mut fds = vec![target.into_fd()];
    let tasks = container.cgroup().open_tasks()?;
    let v2 = container.cgroup().open_v2()?;
    let mut settings = ExecSettings {
        process,
        pid: container.process().pid(),
        terminal: None,
        tasks: tasks.len(),
        has_v2: v2.is_some(),
        has_files: false,
    };
    fds.extend(tasks);
    fds.extend(v2);
    match stdio {
        Stdio::Terminal { rows, columns } => settings.terminal = Some((rows, columns)),
        Stdio::Files(files) => {
            settings.has_files = true;
            fds.extend(files);
        }
    }
    Ok((settings, fds))
}

/// Writes the settings to memory that nobody can change any more.
fn in_memory(settings: &ExecSettings) -> Result<OwnedFd, ContainerError> {
    let act = "pass the program's settings on";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory =
        rustix::fs::memfd_create(c"consort-exec", flags).map_err(ContainerError::call(act))?;
    let mut file = File::from(memory);
    let bytes =
        serde_json::to_vec(settings).map_err(|source| ContainerError::Message { source })?;
    file.write_all(&bytes)
        .map_err(|source| ContainerError::HostFile {
            act: "write",
            path: "consort-exec".into(),
            source,
        })?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(ContainerError::call(act))?;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, all).map_err(ContainerError::call(act))?;
    Ok(file.into())
}

fn null() -> Result<OwnedFd, ContainerError> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(c"/dev/null", flags, rustix::fs::Mode::empty())
        .map_err(ContainerError::call("open the null device"))
}
