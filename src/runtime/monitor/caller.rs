//! The streams of a command that runs its container in the foreground: what the container writes is passed on to them.
//!
//! **Invariant:** the monitor never waits for the command. What the command does not take now is kept here, and
//! until it has taken all of it no more is read from the container: as with any pipe, a slow reader slows the writer.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags};

use super::log::Stream;

/// The streams that a monitor was started with, by the command that runs its container in the foreground.
#[derive(Debug)]
pub(super) struct CallerStreams {
    /// What the container reads; nothing for no input at all.
    pub(super) stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub(super) viewers: Viewers,
}

/// Where the output of a container goes besides its log.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    stdout: Viewer,
    stderr: Viewer,
}

/// One stream of the command, and what it has not taken yet.
#[derive(Debug, Default)]
struct Viewer {
    /// `None` when there is no command, or it does not read any more.
    file: Option<File>,
    pending: Vec<u8>,
}

impl CallerStreams {
    /// Takes this process's standard streams over and puts `/dev/null` in their place.
    pub(super) fn take() -> io::Result<Self> {
        let [stdin, stdout, stderr] = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ]
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 3));
        let (stdin, stdout, stderr) = (stdin?, stdout?, stderr?);
        let null: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?
            .into();
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&stdin)?.st_mode);
        Ok(Self {
            stdin: (kind == FileType::Fifo).then_some(stdin),
            viewers: Viewers {
                stdout: Viewer::new(stdout)?,
                stderr: Viewer::new(stderr)?,
            },
        })
    }
}

impl Viewers {
    /// Passes on what the container wrote to `stream`, now or as soon as the command takes it.
    pub(super) fn show(&mut self, stream: Stream, bytes: &[u8]) {
        self.of_mut(stream).show(bytes);
    }

    /// Hands over what the command takes now of what it has not taken yet; reports whether that is all.
    pub(super) fn catch_up(&mut self, stream: Stream) -> bool {
        let viewer = self.of_mut(stream);
        viewer.flush();
        viewer.pending.is_empty()
    }

    /// Returns the descriptor that is writable when the command takes more; `None` when it has taken everything.
    pub(super) fn waits_for(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        let viewer = self.of(stream);
        let file = viewer.file.as_ref()?;
        (!viewer.pending.is_empty()).then(|| file.as_fd())
    }

    const fn of(&self, stream: Stream) -> &Viewer {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    const fn of_mut(&mut self, stream: Stream) -> &mut Viewer {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Viewer {
    fn new(end: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&end)?;
        rustix::fs::fcntl_setfl(&end, flags | OFlags::NONBLOCK)?;
        Ok(Self {
            file: Some(end.into()),
            pending: Vec::new(),
        })
    }

    fn show(&mut self, bytes: &[u8]) {
        if self.file.is_some() {
            self.pending.extend_from_slice(bytes);
            self.flush();
        }
    }

    fn flush(&mut self) {
        while let Some(file) = &mut self.file
            && !self.pending.is_empty()
        {
            match file.write(&self.pending) {
                Ok(count) if count > 0 => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The command has gone, or closed the stream: the log still has it all.
                Ok(_) | Err(_) => self.file = None,
            }
        }
        // The memory goes with its content: a monitor is small.
        self.pending = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::pipe::pipe;

    use super::*;

    fn watched() -> (File, Viewers) {
        let (ours, theirs) = pipe().unwrap();
        let viewers = Viewers {
            stdout: Viewer::new(theirs).unwrap(),
            stderr: Viewer::default(),
        };
        (ours.into(), viewers)
    }

    #[test]
    fn a_command_that_reads_late_gets_every_byte() {
        let (mut reader, mut viewers) = watched();
        let written: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        viewers.show(Stream::Stdout, &written);
        assert!(viewers.waits_for(Stream::Stdout).is_some());
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        while read.len() < written.len() {
            let count = reader.read(&mut chunk).unwrap();
            read.extend_from_slice(&chunk[..count]);
            let _all = viewers.catch_up(Stream::Stdout);
        }
        assert!(read == written, "every byte arrives, in order");
        assert!(viewers.waits_for(Stream::Stdout).is_none());
    }

    #[test]
    fn a_command_that_has_gone_is_not_waited_for() {
        let (reader, mut viewers) = watched();
        drop(reader);
        viewers.show(Stream::Stdout, &[0; 300_000]);
        assert!(viewers.catch_up(Stream::Stdout));
        assert!(viewers.waits_for(Stream::Stdout).is_none());
        viewers.show(Stream::Stderr, b"no command reads this");
        assert!(viewers.waits_for(Stream::Stderr).is_none());
    }
}
