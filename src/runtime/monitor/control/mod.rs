//! How a command talks to a container's monitor: one request, one reply, over a socket of one's own.
//!
//! The socket is a path in the container's run folder (0700, so only its owner reaches it) and of
//! type `SOCK_SEQPACKET`: a message is one JSON object of at most [`MESSAGE_LIMIT_BYTES`]; a longer
//! one, or one with unknown members, ends the conversation.

mod client;
mod keys;
mod server;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use client::{Attached, ControlError, Screen, ask, attach};
pub use keys::{DetachKeys, Typed};
pub use server::{Connection, ControlServer, Incoming};

use super::state::ContainerState;

/// The longest message.
pub const MESSAGE_LIMIT_BYTES: usize = 64 << 10;

/// How long a monitor may take to answer, beyond what was asked of it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// What a command wants of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Stops the container for good: `signal`, and SIGKILL once the grace is over. Answered when it has ended.
    Stop {
        /// The signal to begin with.
        signal: i32,
        /// How long it may take; `None` for ever.
        grace_ms: Option<u64>,
    },
    /// Sends a signal to its first process.
    Signal {
        /// The signal.
        signal: i32,
    },
    /// Freezes its processes.
    Pause,
    /// Thaws its processes.
    Unpause,
    /// Sets the size of its terminal.
    Resize {
        /// Lines of text.
        rows: u16,
        /// Characters a line.
        columns: u16,
    },
    /// Passes this connection's further bytes to its terminal, and the terminal's to this connection.
    Attach,
    /// Passes this connection's further bytes to its terminal.
    Type,
    /// Says what is true of the container, also what could not be recorded yet.
    State,
    /// Lets a container go that has ended, and whose record is about to be removed. Answered by the end
    /// of the monitor.
    Forget,
    /// Reads its bundle again: restart policy, logging and health check may have changed.
    Reload,
}

impl Request {
    /// Returns how long its answer is waited for; `None` for ever.
    fn patience(&self) -> Option<Duration> {
        match self {
            Self::Stop { grace_ms, .. } => {
                let grace = grace_ms.map(Duration::from_millis);
                grace.map(|grace| grace.saturating_add(ANSWER_PATIENCE))
            }
            Self::Signal { .. }
            | Self::Pause
            | Self::Unpause
            | Self::Resize { .. }
            | Self::Attach
            | Self::Type
            | Self::State
            | Self::Forget
            | Self::Reload => Some(ANSWER_PATIENCE),
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// It is done.
    Done,
    /// The container has ended.
    Ended {
        /// Its exit code, if anybody saw it.
        exit_code: Option<i32>,
    },
    /// What is true of the container.
    State {
        /// As it would be recorded.
        state: Box<ContainerState>,
    },
    /// It could not be done.
    Failed {
        /// Why, a fragment that reads after "cannot".
        message: String,
    },
}

/// Names the socket through an open folder: a socket's own path may have 107 bytes only.
fn path_through(run_dir: &File) -> String {
    format!("/proc/self/fd/{}/control", run_dir.as_raw_fd())
}
