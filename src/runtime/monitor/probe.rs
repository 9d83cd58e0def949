//! One health probe: a command inside the container, bounded in time and in what it may say.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use rustix::pipe::PipeFlags;

use super::MonitorError;
use super::bundle::Bundle;
use super::health::HealthCheck;
use super::launch::Running;
use super::waits::{Source, Wake, Watched};
use crate::runtime::container::exec::Executed;

/// As much of a probe's output is kept.
const OUTPUT_LIMIT_BYTES: usize = 4096;

/// A probe that runs; dropped, it is ended with all that it has started.
#[derive(Debug)]
pub(super) struct Probe {
    child: Executed,
    output: Option<File>,
    kept: Vec<u8>,
    deadline: Instant,
}

/// How a probe ended.
#[derive(Debug)]
pub(super) struct ProbeEnd {
    /// Its exit code; -1 if it ran out of time.
    pub(super) exit_code: i32,
    /// The first bytes that it printed.
    pub(super) output: String,
}

impl Probe {
    /// Runs the check's command inside the container.
    pub(super) fn start(
        bundle: &Bundle,
        running: &Running,
        check: &HealthCheck,
        now: Instant,
    ) -> Result<Self, MonitorError> {
        let (output, theirs) = pipe()?;
        let child = running.exec_probe(bundle, &check.command, theirs)?;
        Ok(Self {
            child,
            output: Some(output),
            kept: Vec::new(),
            deadline: now + check.timeout,
        })
    }

    /// Returns when it has had its time.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns what to wait for.
    pub(super) fn sources(&self) -> Vec<Watched<'_>> {
        let output = self.output.as_ref();
        let output = output.map(|file| Watched {
            source: Source::ProbeOutput,
            fd: file.as_fd(),
            wake: Wake::Readable,
        });
        let end = Watched {
            source: Source::Probe,
            fd: self.child.as_fd(),
            wake: Wake::Readable,
        };
        output.into_iter().chain([end]).collect()
    }

    /// Reads what it printed; returns how it ended, once it has.
    pub(super) fn read(&mut self) -> Option<ProbeEnd> {
        self.take_output();
        match self.child.exit() {
            Ok(None) => None,
            Ok(Some(exit)) => {
                self.take_output();
                Some(ProbeEnd {
                    exit_code: exit.shell_code(),
                    output: self.said(),
                })
            }
            Err(error) => Some(ProbeEnd::not_run(MonitorError::from(error))),
        }
    }

    fn take_output(&mut self) {
        let Some(file) = &mut self.output else { return };
        let mut buffer = [0_u8; OUTPUT_LIMIT_BYTES];
        match file.read(&mut buffer) {
            Ok(0) => self.output = None,
            Ok(count) => {
                let room = OUTPUT_LIMIT_BYTES.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&buffer[..count.min(room)]);
            }
            // Nothing there yet; a pipe has no other error that matters to a probe.
            Err(_) => {}
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    /// Ends it, with all that it has started, because its time is up.
    pub(super) fn give_up(mut self) -> ProbeEnd {
        self.take_output();
        let mut output = self.said();
        output.push_str("the probe ran longer than its timeout");
        ProbeEnd {
            exit_code: -1,
            output,
        }
    }
}

impl ProbeEnd {
    /// The end of a probe that could not be run.
    pub(super) fn not_run(error: MonitorError) -> Self {
        Self {
            exit_code: 126,
            output: error.chain(),
        }
    }
}

fn pipe() -> Result<(File, OwnedFd), MonitorError> {
    let failed = |error: rustix::io::Errno| MonitorError::Keep {
        act: "make a pipe for a probe",
        source: error.into(),
    };
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
    Ok((ours.into(), theirs))
}
