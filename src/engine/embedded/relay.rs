//! The caller's streams and those of a program inside a container, with the engine in between.
//!
//! A program never has the caller's own pipes: a process that it leaves behind would keep them open, and who reads from
//! the caller would wait for that process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::engine::Stdio;

/// What is shown at most after a program has ended, of what processes write that it left behind.
const LATE_LIMIT_BYTES: usize = 1 << 20;

/// What is read of a program at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Passes on what a program writes, until it has ended and that is all shown.
#[derive(Debug)]
pub(super) struct Relay {
    shown: Vec<JoinHandle<()>>,
    /// Closed when the program has ended.
    runs: OwnedFd,
    ended: Arc<OwnedFd>,
}

impl Relay {
    pub(super) fn new() -> io::Result<Self> {
        let (ended, runs) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self {
            shown: Vec::new(),
            runs,
            ended: Arc::new(ended),
        })
    }

    /// Makes a program's streams and connects them with the caller's.
    pub(super) fn streams(&mut self, own: Stdio) -> io::Result<[OwnedFd; 3]> {
        let stdin = match own.stdin {
            Some(stdin) => {
                let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
                type_into(stdin, ours)?;
                theirs
            }
            None => null()?,
        };
        let mut output = |sink: Option<OwnedFd>| match sink {
            Some(sink) => {
                let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
                self.show(ours, Some(sink))?;
                Ok(theirs)
            }
            None => null(),
        };
        Ok([stdin, output(own.stdout)?, output(own.stderr)?])
    }

    /// Passes on what comes from `source`.
    pub(super) fn show(&mut self, source: OwnedFd, sink: Option<OwnedFd>) -> io::Result<()> {
        let ended = Arc::clone(&self.ended);
        let thread = thread::Builder::new().spawn(move || {
            // A caller who does not read any more, or a terminal without a program, is the end of it.
            drop(pass_on(&source, sink.map(File::from), &ended));
        })?;
        self.shown.push(thread);
        Ok(())
    }

    /// Shows what the program has written before it ended.
    pub(super) fn finish(self) {
        drop(self.runs);
        for thread in self.shown {
            drop(thread.join());
        }
    }
}

/// Passes the caller's input on in a thread: it waits for input that may never come, and ends with the command.
pub(super) fn type_into(stdin: OwnedFd, keyboard: OwnedFd) -> io::Result<()> {
    let copy = move || io::copy(&mut File::from(stdin), &mut File::from(keyboard));
    let _thread = thread::Builder::new().spawn(copy)?;
    Ok(())
}

fn pass_on(source: &OwnedFd, mut sink: Option<File>, ended: &OwnedFd) -> io::Result<()> {
    let mut reader = File::from(source.try_clone()?);
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = LATE_LIMIT_BYTES;
    loop {
        let mut ready = [
            PollFd::new(source, PollFlags::IN),
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let has_ended = !ready[1].revents().is_empty();
        if ready[0].revents().is_empty() {
            if has_ended {
                return Ok(());
            }
            continue;
        }
        let count = reader.read(&mut piece)?;
        if has_ended {
            left = left.saturating_sub(count);
        }
        if count == 0 || left == 0 {
            return Ok(());
        }
        if let Some(sink) = &mut sink {
            sink.write_all(&piece[..count])?;
        }
    }
}

fn null() -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/null");
    Ok(file?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_the_end_is_shown_although_a_pipe_stays_open() {
        let (mut shown, sink) = io::pipe().unwrap();
        let mut relay = Relay::new().unwrap();
        let streams = relay.streams(Stdio {
            stdin: None,
            stdout: Some(sink.into()),
            stderr: None,
        });
        let [_, stdout, _] = streams.unwrap();
        let mut left_behind = File::from(stdout.try_clone().unwrap());
        File::from(stdout).write_all(b"said").unwrap();
        relay.finish();
        left_behind.write_all(b"late").ok();
        let mut text = String::new();
        shown.read_to_string(&mut text).unwrap();
        assert_eq!(text, "said");
    }
}
