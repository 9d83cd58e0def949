//! The right to change a project while a plan is walked: given up while the plan only waits, and taken back
//! before the next step changes something.

use crate::engine::{Engine, EngineError, LockHolder, LockWait, ProjectLock};
use crate::value::ProjectName;
use std::sync::{Mutex, PoisonError};

/// The right to change a project, and how to get it back.
#[derive(Debug)]
pub struct Hold<'a> {
    engine: &'a dyn Engine,
    project: ProjectName,
    holder: LockHolder,
    /// The turn of the lock that was held last.
    turn: Mutex<u64>,
    lock: Mutex<Option<ProjectLock>>,
}

/// Whether another command changed the project while this command did not hold its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meanwhile {
    /// None did.
    Unchanged,
    /// One may have.
    Changed,
}

impl<'a> Hold<'a> {
    /// Takes charge of a lock that is held for `project` in the name of `holder`.
    pub fn new(
        engine: &'a dyn Engine,
        project: ProjectName,
        holder: LockHolder,
        lock: ProjectLock,
    ) -> Self {
        Self {
            engine,
            project,
            holder,
            turn: Mutex::new(lock.turn()),
            lock: Mutex::new(Some(lock)),
        }
    }

    pub(super) fn is_held(&self) -> bool {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.is_some()
    }

    pub(super) fn give_up(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(lock.take());
    }

    /// Waits for its turn, and says whether another command had one in between.
    pub(super) async fn take_back(&self) -> Result<Meanwhile, EngineError> {
        let lock = self
            .engine
            .lock(&self.project, &self.holder, LockWait::Wait)
            .await?;
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let meanwhile = if lock.turn() == *turn + 1 {
            Meanwhile::Unchanged
        } else {
            Meanwhile::Changed
        };
        *turn = lock.turn();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        Ok(meanwhile)
    }
}
