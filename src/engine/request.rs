//! What commands ask of an engine beside actions, and what they get.

use super::EngineError;
use crate::runtime::copy::CopyOptions;
use crate::value::{ContainerName, ServiceName};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::{borrow::Cow, collections::BTreeMap, os::fd::OwnedFd, path::PathBuf, time::SystemTime};
use tokio::sync::watch;

/// Whether a command waits for another one that changes the same project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Until the other one is done.
    Wait,
    /// Not at all.
    Fail,
}

/// Which lines of a container's output are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// How many of the lines that are there.
    pub tail: Tail,
    /// Only lines from then on.
    pub since: Option<SystemTime>,
    /// Only lines until then.
    pub until: Option<SystemTime>,
    /// Whether the stream goes on with what comes, also after the container restarts.
    pub follow: bool,
}

/// How many lines from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// All of them.
    All,
    /// That many.
    Lines(usize),
}

/// Lines of one container, in the order of their time.
pub type LogStream = BoxStream<'static, Result<LogLine, EngineError>>;

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: SystemTime,
    /// Where it was written to.
    pub stream: OutputStream,
    /// The line without its end.
    pub bytes: Vec<u8>,
    /// Whether lines that were asked for stood before it and are not kept any more.
    pub follows_lost: bool,
}

/// Where a process writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happens to the containers of one project.
pub type EventStream = BoxStream<'static, Result<ContainerEvent, EngineError>>;

/// Which events of a project are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsFrom {
    /// Those that happen from now on.
    Now,
    /// Those that are still known, and then those that happen from now on.
    Oldest,
}

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// When.
    pub time: SystemTime,
    /// The container's id.
    pub id: String,
    /// The container.
    pub container: ContainerName,
    /// Its service.
    pub service: ServiceName,
    /// What happened.
    pub kind: EventKind,
    /// Further facts, such as `image`.
    pub attributes: BTreeMap<String, String>,
}

/// What can happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was made.
    Create,
    /// It started.
    Start,
    /// It was restarted by a command.
    Restart,
    /// It was frozen.
    Pause,
    /// It was thawed.
    Unpause,
    /// A signal was sent to it.
    Kill {
        /// The number of the signal.
        signal: i32,
    },
    /// It ran out of memory.
    OutOfMemory,
    /// Its first process ended.
    Die {
        /// The exit code, where it is known.
        exit_code: Option<i32>,
    },
    /// It was asked to end and did.
    Stop,
    /// It got another name.
    Rename,
    /// Its health check passes.
    Healthy,
    /// Its health check failed too often.
    Unhealthy,
    /// It was removed.
    Destroy,
    /// A program is about to run inside it.
    ExecCreate {
        /// The program with its arguments, separated by spaces.
        command: String,
    },
    /// A program runs inside it.
    ExecStart {
        /// The program with its arguments, separated by spaces.
        command: String,
    },
    /// A program inside it ended.
    ExecDie,
}

impl EventKind {
    /// The event as `events` shows it.
    pub fn action(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Kill { .. } => "kill",
            Self::OutOfMemory => "oom",
            Self::Die { .. } => "die",
            Self::Stop => "stop",
            Self::Rename => "rename",
            Self::Healthy => "health_status: healthy",
            Self::Unhealthy => "health_status: unhealthy",
            Self::Destroy => "destroy",
            Self::ExecCreate { command } => return format!("{EXEC_CREATE}{command}").into(),
            Self::ExecStart { command } => return format!("{EXEC_START}{command}").into(),
            Self::ExecDie => "exec_die",
        })
    }

    /// The event that [`action`](Self::action) shows; what else is known of it is in the attributes.
    pub fn of_action(action: &str, attributes: &BTreeMap<String, String>) -> Option<Self> {
        let number = |name: &str| attributes.get(name).and_then(|text| text.parse().ok());
        Some(match action {
            "create" => Self::Create,
            "start" => Self::Start,
            "restart" => Self::Restart,
            "pause" => Self::Pause,
            "unpause" => Self::Unpause,
            "kill" => Self::Kill {
                signal: number("signal").unwrap_or_default(),
            },
            "oom" => Self::OutOfMemory,
            "die" => Self::Die {
                exit_code: number("exitCode"),
            },
            "stop" => Self::Stop,
            "rename" => Self::Rename,
            "health_status: healthy" => Self::Healthy,
            "health_status: unhealthy" => Self::Unhealthy,
            "destroy" => Self::Destroy,
            "exec_die" => Self::ExecDie,
            _ => {
                let command = |prefix| action.strip_prefix(prefix).map(ToOwned::to_owned);
                let created = command(EXEC_CREATE).map(|command| Self::ExecCreate { command });
                let started = || command(EXEC_START).map(|command| Self::ExecStart { command });
                return created.or_else(started);
            }
        })
    }
}

const EXEC_CREATE: &str = "exec_create: ";
const EXEC_START: &str = "exec_start: ";

/// The descriptors that a process inside a container gets; nothing means `/dev/null`.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Standard input.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: Option<OwnedFd>,
    /// Standard error; unused with a terminal.
    pub stderr: Option<OwnedFd>,
}

/// How many characters a terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A command to run inside a container.
#[derive(Debug)]
pub struct ExecRequest {
    /// The program with its arguments.
    pub args: Vec<String>,
    /// Variables on top of the container's.
    pub environment: BTreeMap<String, String>,
    /// `USER[:GROUP]`; the container's when nothing is said.
    pub user: Option<String>,
    /// Where it starts; the container's directory when nothing is said.
    pub working_dir: Option<String>,
    /// The size of its terminal and how it changes; nothing for no terminal.
    pub tty: Option<watch::Receiver<TerminalSize>>,
    /// Whether it runs with nearly no confinement.
    pub privileged: bool,
    /// Whether it is not waited for.
    pub detach: bool,
    /// What it reads from and writes to.
    pub stdio: Stdio,
}

/// How to connect to a container's first process.
#[derive(Debug)]
pub struct AttachRequest {
    /// What is connected to it.
    pub stdio: Stdio,
    /// The size of the user's terminal and how it changes; nothing when there is none.
    pub terminal: Option<watch::Receiver<TerminalSize>>,
    /// The bytes that end the connection, such as ctrl-p ctrl-q; none for never.
    pub detach_keys: Vec<u8>,
}

/// Files that are copied between a container and the host.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// Which way.
    pub direction: CopyDirection,
    /// The path in the container.
    pub inside: PathBuf,
    /// The absolute path on the host.
    pub outside: PathBuf,
    /// How they are copied.
    pub options: CopyOptions,
}

/// Which way files are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// Into the container.
    In,
    /// Out of it.
    Out,
}

/// A container in the foreground: ends with its exit code when it ends, or with nothing when the user detached.
pub type Foreground = BoxFuture<'static, Result<Option<i32>, EngineError>>;

/// One process of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// The user's name or number.
    pub user: String,
    /// Its id on the host.
    pub pid: u32,
    /// The id of its parent on the host.
    pub parent_pid: u32,
    /// When it started.
    pub started: SystemTime,
    /// The processor time it has used, in milliseconds.
    pub cpu_ms: u64,
    /// Its terminal, such as `pts/0`; `?` for none.
    pub tty: String,
    /// Its command line.
    pub command: String,
}

/// What a container uses; nothing where the kernel does not say, as without a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Processor time used since it started, in nanoseconds.
    pub cpu_nanos: Option<u64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// Memory at most; nothing for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes received on all networks.
    pub received_bytes: u64,
    /// Bytes sent on all networks.
    pub sent_bytes: u64,
    /// Processes and threads.
    pub pids: Option<u64>,
}
