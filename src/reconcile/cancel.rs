//! How a user says that it is enough.

use tokio::sync::watch;

/// Makes a pair of which one end cancels what the other end is given to.
pub fn cancellation() -> (Canceller, Cancel) {
    let (sender, receiver) = watch::channel(false);
    (Canceller(sender), Cancel(Some(receiver)))
}

/// The end that cancels.
#[derive(Debug)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// Starts no further step, gives up those that only wait, and lets the others end.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

/// The end that is told.
#[derive(Clone, Debug)]
pub struct Cancel(Option<watch::Receiver<bool>>);

impl Cancel {
    /// One that never happens.
    pub const fn never() -> Self {
        Self(None)
    }

    /// Ends when it happens; never when nobody can cancel any more.
    pub async fn cancelled(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.wait_for(|cancelled| *cancelled).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
