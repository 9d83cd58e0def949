//! The user's terminal: raw while a program in a container has it, its size as it changes.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::termios::{self, InputModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::CommandError;
use crate::engine::{Stdio, TerminalSize};

/// A terminal whose keys go to a container; as it was again when this is dropped.
#[derive(Debug)]
pub(super) struct RawTerminal {
    stdin: OwnedFd,
    before: Termios,
}

impl RawTerminal {
    /// Makes the terminal on standard input raw.
    pub(super) fn enter() -> Result<Self, CommandError> {
        Self::change(Termios::make_raw)
    }

    /// Keeps the terminal on standard input as it is, for lines and signals, but for the last of the keys that leave a
    /// connection: it ends a line, so that it is read when it is typed.
    pub(super) fn line_by_line(last_key: Option<u8>) -> Result<Self, CommandError> {
        Self::change(|settings| {
            settings.input_modes.remove(InputModes::IXON);
            if let Some(key) = last_key {
                settings.special_codes[SpecialCodeIndex::VEOL] = key;
            }
        })
    }

    fn change(how: impl FnOnce(&mut Termios)) -> Result<Self, CommandError> {
        let cannot = |source: io::Error| CommandError::cannot("take over the terminal", source);
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?;
        let before = termios::tcgetattr(&stdin).map_err(|errno| cannot(errno.into()))?;
        let mut settings = before.clone();
        how(&mut settings);
        termios::tcsetattr(&stdin, OptionalActions::Now, &settings)
            .map_err(|errno| cannot(errno.into()))?;
        Ok(Self { stdin, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone has no state to give back.
        termios::tcsetattr(&self.stdin, OptionalActions::Drain, &self.before).ok();
    }
}

/// Tells whether the user sits at a terminal, with both hands and eyes.
pub(super) fn is_interactive() -> bool {
    termios::isatty(io::stdin()) && termios::isatty(io::stdout())
}

/// Returns the terminal's size as it is and as it will be.
///
/// The receiver gets news as long as the event loop runs.
pub(super) fn size() -> Result<watch::Receiver<TerminalSize>, CommandError> {
    let (sender, receiver) = watch::channel(current_size());
    let mut changes = signal(SignalKind::window_change())
        .map_err(|source| CommandError::cannot("listen for changes of the terminal", source))?;
    tokio::spawn(async move {
        while changes.recv().await.is_some() && sender.send(current_size()).is_ok() {}
    });
    Ok(receiver)
}

fn current_size() -> TerminalSize {
    match termios::tcgetwinsize(io::stdout()) {
        Ok(size) => TerminalSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
        Err(_) => TerminalSize::default(),
    }
}

/// Returns copies of the process's own streams.
pub(super) fn own_streams() -> Result<Stdio, CommandError> {
    let cannot = |source: io::Error| CommandError::cannot("pass on the standard streams", source);
    Ok(Stdio {
        stdin: Some(io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?),
        stdout: Some(io::stdout().as_fd().try_clone_to_owned().map_err(cannot)?),
        stderr: Some(io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?),
    })
}
