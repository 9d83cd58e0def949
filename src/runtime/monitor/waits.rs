//! What a monitor waits for.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::Stream;
use super::{MonitorError, clock};

/// Where something can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A command wants to talk.
    Control,
    /// A command that talks said something, or left.
    Conversation(usize),
    /// The container wrote.
    Output(Stream),
    /// The container's terminal has something, takes keys again, or is gone.
    Console,
    /// The container's first process ended.
    Process,
    /// A probe ended.
    Probe,
    /// A probe wrote.
    ProbeOutput,
}

/// A source and the descriptor that tells when something happened there.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    /// Where.
    pub(super) source: Source,
    /// The descriptor.
    pub(super) fd: BorrowedFd<'a>,
    /// What of it counts.
    pub(super) wake: Wake,
}

/// What happens at a descriptor that is waited for; that its other side is gone always counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Something can be read.
    Readable,
    /// Something can be written.
    Writable,
    /// Something can be read, or written.
    ReadableOrWritable,
    /// Nothing else.
    Gone,
}

impl Wake {
    const fn flags(self) -> PollFlags {
        match self {
            Self::Readable => PollFlags::IN,
            Self::Writable => PollFlags::OUT,
            Self::ReadableOrWritable => PollFlags::IN.union(PollFlags::OUT),
            Self::Gone => PollFlags::empty(),
        }
    }
}

/// Waits until something happens or the deadline has come; returns where.
///
/// What the container wrote comes before its end, so that no last line is missed.
pub(super) fn wait_for(
    watched: &[Watched<'_>],
    deadline: Option<Instant>,
) -> Result<Vec<Source>, MonitorError> {
    let mut fds: Vec<PollFd<'_>> = watched
        .iter()
        .map(|watched| PollFd::from_borrowed_fd(watched.fd, watched.wake.flags()))
        .collect();
    let timeout = deadline.map(|at| {
        let left = at.saturating_duration_since(clock::now());
        Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        }
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
        Err(source) => {
            return Err(MonitorError::Wait {
                source: source.into(),
            });
        }
    }
    let ready = watched
        .iter()
        .zip(&fds)
        .filter(|(_, fd)| !fd.revents().is_empty());
    let mut sources: Vec<Source> = ready.map(|(watched, _)| watched.source).collect();
    sources.sort_by_key(|source| match source {
        Source::Output(_) | Source::Console => 0,
        Source::Probe | Source::ProbeOutput => 1,
        Source::Process => 2,
        Source::Control | Source::Conversation(_) => 3,
    });
    Ok(sources)
}
