//! Turns: a container's record is read, changed and written by one thread at a time.
//!
//! Steps of one plan run side by side and may change the same container: its labels and its networks.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// Who is being changed now.
#[derive(Debug, Default)]
pub(super) struct Turns {
    busy: Mutex<BTreeSet<String>>,
    freed: Condvar,
}

/// The right to change one container; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: String,
}

impl Turns {
    /// Waits until nobody else changes the container with this id.
    pub(super) fn take(&self, id: &str) -> Turn<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while busy.contains(id) {
            busy = self
                .freed
                .wait(busy)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let _is_new = busy.insert(id.to_owned());
        Turn {
            turns: self,
            id: id.to_owned(),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let busy = self.turns.busy.lock();
        let _was_there = busy
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
        self.turns.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_container_is_changed_by_one_thread_at_a_time() {
        let (turns, inside) = (Turns::default(), AtomicU32::new(0));
        let change = |id: &str| {
            for _ in 0..100 {
                let _turn = turns.take(id);
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                std::thread::yield_now();
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| change("one"));
            }
        });
        let _one = turns.take("one");
        let _other = turns.take("other");
    }
}
