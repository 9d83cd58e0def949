//! A container's standard streams as FIFOs in its run folder.
//!
//! **Invariant:** the container holds each FIFO open for reading and writing, so it never meets a
//! closed pipe, whether a monitor lives or not; what it writes waits in the FIFO.
//! **Invariant:** so does the monitor: a FIFO that nobody can write to any more is for ever ready to be
//! read, and whoever waits for it would never sleep.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::log::Stream;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The container's ends of its standard streams.
#[derive(Debug)]
pub struct ContainerEnds {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// The monitor's ends of the output streams; never blocks.
///
/// What is there is first [looked at](Self::peek) and, once it is kept, [taken](Self::take): what a monitor that
/// dies between the two had in its hands is still there for the next one.
#[derive(Debug)]
pub struct OutputEnds {
    stdout: File,
    stderr: File,
    /// What is looked at is copied into this pipe of our own, and read from there.
    copy: (File, OwnedFd),
}

/// Makes the FIFOs of a container in its run folder; those that are there stay.
pub fn make(run_dir: &Path) -> io::Result<()> {
    for name in ["stdin", "stdout", "stderr"] {
        let made = mknodat(
            CWD,
            run_dir.join(name),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        );
        match made {
            Err(error) if error != Errno::EXIST => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Opens the ends that the container gets, owned by `uid` so that it can open `/dev/stdout` again.
///
/// Without `keep_stdin` its standard input is `/dev/null`.
pub fn open_container_ends(run_dir: &Path, uid: u32, stdin: Stdin) -> io::Result<ContainerEnds> {
    let open = |name: &str| -> io::Result<OwnedFd> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(run_dir.join(name))?;
        fchown(&file, Some(uid), None)?;
        Ok(file.into())
    };
    let stdin = match stdin {
        Stdin::Fifo => open("stdin")?,
        Stdin::Pipe(pipe) => {
            fchown(&pipe, Some(uid), None)?;
            pipe
        }
        Stdin::Null => File::open("/dev/null")?.into(),
    };
    Ok(ContainerEnds {
        stdin,
        stdout: open("stdout")?,
        stderr: open("stderr")?,
    })
}

/// What a container without a terminal reads.
#[derive(Debug)]
pub enum Stdin {
    /// What commands write to it; it never ends.
    Fifo,
    /// A pipe, which ends when its other side is closed.
    Pipe(OwnedFd),
    /// Nothing.
    Null,
}

impl OutputEnds {
    /// Opens our ends; works before the container has opened its own.
    pub fn open(run_dir: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let flags =
                i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or_default();
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(flags)
                .open(run_dir.join(name))
        };
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
            copy: (reader.into(), writer),
        })
    }

    /// Returns the descriptor of one stream, to wait for.
    pub fn fd(&self, stream: Stream) -> BorrowedFd<'_> {
        self.file(stream).as_fd()
    }

    /// Copies the beginning of what is there of one stream, at most one chunk, into `buffer`; returns how much.
    pub fn peek(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK;
        match tee(self.file(stream), &self.copy.1, CHUNK_BYTES, flags) {
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => return Ok(0),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        buffer.resize(CHUNK_BYTES, 0);
        self.copy.0.read(buffer)
    }

    /// Takes as many bytes off a stream as `scratch` is long, which they overwrite.
    ///
    /// The container can read its own output; where it did, less is there.
    pub fn take(&self, stream: Stream, scratch: &mut [u8]) -> io::Result<()> {
        match self.file(stream).read(scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    fn file(&self, stream: Stream) -> &File {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn what_a_container_writes_waits_for_a_reader_and_never_meets_a_closed_pipe() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        make(dir.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let ends = open_container_ends(dir.path(), uid, Stdin::Null).unwrap();
        let mut stdout = File::from(ends.stdout);
        let first = OutputEnds::open(dir.path()).unwrap();
        drop(first);
        stdout.write_all(b"between two monitors").unwrap();
        let mut second = OutputEnds::open(dir.path()).unwrap();
        let mut buffer = Vec::new();
        let count = second.peek(Stream::Stdout, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"between two monitors");
        second.take(Stream::Stdout, &mut buffer[..count]).unwrap();
        assert_eq!(second.peek(Stream::Stdout, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn what_was_looked_at_and_not_taken_is_there_for_the_next_monitor() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let ends = open_container_ends(dir.path(), uid, Stdin::Null).unwrap();
        let mut stderr = File::from(ends.stderr);
        stderr.write_all(b"one ").unwrap();
        let mut buffer = Vec::new();
        let mut first = OutputEnds::open(dir.path()).unwrap();
        assert_eq!(first.peek(Stream::Stderr, &mut buffer).unwrap(), 4);
        stderr.write_all(b"two").unwrap();
        first.take(Stream::Stderr, &mut buffer[..2]).unwrap();
        drop(first);
        let mut second = OutputEnds::open(dir.path()).unwrap();
        let count = second.peek(Stream::Stderr, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"e two");
    }

    #[test]
    fn an_output_that_nobody_can_write_to_any_more_wakes_nobody() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let monitor = OutputEnds::open(dir.path()).unwrap();
        let container = open_container_ends(dir.path(), uid, Stdin::Null).unwrap();
        drop(container);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut fds = [PollFd::from_borrowed_fd(monitor.fd(stream), PollFlags::IN)];
            assert_eq!(poll(&mut fds, Some(&Timespec::default())).unwrap(), 0);
        }
    }
}
