//! Ctrl-C and SIGTERM → a request to come to an end, and at the second one to do so at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CommandError;

/// The two signals by which a user or a supervisor says that it is enough.
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes the signals over from the kernel, which would end the process.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let take = |kind| {
            signal(kind).map_err(|source| CommandError::cannot("listen for signals", source))
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Returns when one of them arrives.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
