//! Words that flags of several verbs take.

use clap::ValueEnum;

use crate::observed::RunState;

/// The values of `plan --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// One line for each step, for people
    Text,
    /// JSON for programs
    Json,
}

/// The values of `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// Returns the word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The values of `--status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StateChoice {
    /// Made and never started
    Created,
    /// Runs
    Running,
    /// Suspended
    Paused,
    /// Ended, and about to start again
    Restarting,
    /// Being removed
    Removing,
    /// Ended
    Exited,
    /// Could not be removed completely
    Dead,
}

impl From<StateChoice> for RunState {
    fn from(choice: StateChoice) -> Self {
        match choice {
            StateChoice::Created => Self::Created,
            StateChoice::Running => Self::Running,
            StateChoice::Paused => Self::Paused,
            StateChoice::Restarting => Self::Restarting,
            StateChoice::Removing => Self::Removing,
            StateChoice::Exited => Self::Exited,
            StateChoice::Dead => Self::Dead,
        }
    }
}
