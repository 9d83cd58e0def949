//! The process `consort [monitor]`: its arguments, its own namespaces, its one report.

use std::ffi::{CStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{FlockOperation, flock};

use super::MonitorError;
use super::bundle::Bundle;
use super::caller::CallerStreams;
use super::report::StartReport;
use super::run::Monitor;
use super::state::ContainerState;
use crate::runtime::kernel::{mount, namespace, process, reexec};

/// The name that a monitor is started under.
pub const ARG0: &CStr = c"consort [monitor]";

/// What a monitor begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It starts its container.
    Start,
    /// It starts its container in the foreground of a command: the monitor's standard streams are the command's.
    StartInForeground,
    /// It takes over a container whose monitor is gone.
    Adopt,
}

impl Mode {
    /// Returns the argument that says so.
    pub const fn word(self) -> &'static CStr {
        match self {
            Self::Start => c"start",
            Self::StartInForeground => c"start-in-foreground",
            Self::Adopt => c"adopt",
        }
    }
}

/// Runs a monitor: `consort [monitor] start|start-in-foreground|adopt RUN-FOLDER`, with its report pipe passed to it.
pub fn main(args: &[OsString]) -> ExitCode {
    let [mode, run_dir] = args else {
        return ExitCode::from(2);
    };
    let mut passed = reexec::take_passed().unwrap_or_default().into_iter();
    let Some(report) = passed.next().map(File::from) else {
        return ExitCode::from(2);
    };
    // For an ordinary user: keeps the holder of the user's namespaces for as long as we live.
    let _lease = passed.next();
    let mode = match mode.to_str() {
        Some("start") => Mode::Start,
        Some("start-in-foreground") => Mode::StartInForeground,
        Some("adopt") => Mode::Adopt,
        _ => return ExitCode::from(2),
    };
    match begin(mode, &PathBuf::from(run_dir)) {
        Ok((monitor, lock)) => {
            let unenforced = monitor.unenforced().to_vec();
            tell(report, &StartReport::Started { unenforced });
            let ended = monitor.run();
            drop(lock);
            ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(error) => {
            tell(report, &StartReport::of(&error));
            ExitCode::FAILURE
        }
    }
}

fn begin(mode: Mode, run_dir: &Path) -> Result<(Monitor, File), MonitorError> {
    let lock = take_lock(run_dir)?;
    let bundle = Bundle::find(run_dir)?;
    let bundle = bundle.ok_or_else(|| MonitorError::NoBundle {
        path: run_dir.to_owned(),
    })?;
    live_alone()?;
    // Peers of published ports need many. With fewer than there could be, fewer peers are served.
    let _raised = process::raise_descriptor_limit();
    let monitor = match mode {
        Mode::Start => Monitor::start(bundle, None)?,
        Mode::StartInForeground => {
            let caller = CallerStreams::take();
            let caller = caller.map_err(|source| MonitorError::Keep {
                act: "take the command's streams over",
                source,
            })?;
            Monitor::start(bundle, Some(caller))?
        }
        Mode::Adopt => {
            let state = ContainerState::read(&bundle.container_dir)?;
            let state = state.unwrap_or_else(|| ContainerState::created(&bundle.boot_id));
            Monitor::adopt(bundle, state)?
        }
    };
    Ok((monitor, lock))
}

/// Takes the lock by which everyone knows that this container is watched.
fn take_lock(run_dir: &Path) -> Result<File, MonitorError> {
    let path = run_dir.join("lock");
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = opened.map_err(|source| MonitorError::Wait { source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(MonitorError::Watched),
    }
}

/// Gets mounts of our own, so that none of ours is ever seen in the host's table.
fn live_alone() -> Result<(), MonitorError> {
    let act = "get a mount namespace of our own";
    process::set_name(c"consort-monitor").map_err(|source| MonitorError::Wait {
        source: source.into(),
    })?;
    namespace::unshare(namespace::Namespaces::NEWNS).map_err(MonitorError::kernel(act))?;
    mount::set_propagation_of_all(mount::Propagation::Slave).map_err(|source| MonitorError::Wait {
        source: source.into(),
    })
}

fn tell(mut report: File, what: &StartReport) {
    if let Ok(text) = serde_json::to_vec(what) {
        // A command that is gone does not hear it; the state record says the same.
        drop(report.write_all(&text));
    }
}
