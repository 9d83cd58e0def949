//! A command's output: handed on as it comes, its end kept for the error message, until it has ended.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::job::Job;
use crate::runtime::build::BuildError;
use crate::runtime::kernel::pidfd::Pidfd;

/// How much of the output is kept for the error message.
const TAIL_BYTES: usize = 4 << 10;
const READ_BYTES: usize = 32 << 10;

/// Why there is nothing more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The command has ended.
    Ended,
    /// Another step has failed.
    Cancelled,
}

/// The end of what a command wrote.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let excess = self.bytes.len().saturating_sub(TAIL_BYTES);
        drop(self.bytes.drain(..excess));
    }

    /// Returns it as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Hands a command's output on until its first process has ended.
///
/// What others still hold the pipe open is not waited for: the first process takes them with it.
pub(super) fn follow(
    job: &Job,
    pipe: &OwnedFd,
    process: &Pidfd,
    tell: &dyn Fn(Vec<u8>),
) -> Result<(End, Tail), BuildError> {
    let act = "read the output of a command";
    rustix::io::ioctl_fionbio(pipe, true).map_err(BuildError::io(act))?;
    let mut tail = Tail::default();
    let mut is_open = true;
    loop {
        let mut fds = vec![
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
            PollFd::new(job.cancel_fd(), PollFlags::IN),
        ];
        if is_open {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => drop(other.map_err(BuildError::io(act))?),
        }
        let has_ended = !fds[0].revents().is_empty();
        let is_cancelled = !fds[1].revents().is_empty();
        drop(fds);
        is_open = is_open && drain(pipe, &mut tail, tell).map_err(BuildError::io(act))?;
        if has_ended {
            return Ok((End::Ended, tail));
        }
        if is_cancelled {
            return Ok((End::Cancelled, tail));
        }
    }
}

/// Reads what is there; says whether there may be more later.
fn drain(pipe: &OwnedFd, tail: &mut Tail, tell: &dyn Fn(Vec<u8>)) -> Result<bool, Errno> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                tail.push(&buffer[..count]);
                tell(buffer[..count].to_vec());
            }
            Err(Errno::AGAIN) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
