//! Pipes for `splice`, lent to whoever has bytes under way.
//!
//! An idle connection has none: a thousand idle connections cost two descriptors each, not six.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

/// Empty pipes that are kept for the next one.
const KEPT: usize = 4;

/// A pipe with bytes of one connection, in one direction.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

#[derive(Debug, Default)]
pub(super) struct Pipes {
    empty: Vec<Pipe>,
}

impl Pipes {
    /// Lends an empty pipe.
    pub(super) fn lend(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.empty.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { read, write })
    }

    /// Takes back a pipe with nothing in it.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        if self.empty.len() < KEPT {
            self.empty.push(pipe);
        }
    }
}
