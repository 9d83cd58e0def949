//! From a container's streams into its log, and to the command that runs it in the foreground.

use std::path::PathBuf;

use super::bundle::Bundle;
use super::caller::Viewers;
use super::log::{LogWriter, Stream};
use super::pipes::OutputEnds;
use super::waits::{Source, Wake, Watched};
use super::{MonitorError, clock};
use crate::runtime::kernel::failpoint;

/// The container's output, as far as it has come.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    ends: OutputEnds,
    /// `None` when nobody wants its output.
    log: Option<LogWriter>,
    viewers: Viewers,
    buffer: Vec<u8>,
}

impl Output {
    /// Opens streams and log of a container, whose output goes to `viewers` as well.
    pub(super) fn open(bundle: &Bundle, viewers: Viewers) -> Result<Self, MonitorError> {
        let path = bundle.container_dir.clone();
        let failed = |source| MonitorError::Output {
            path: path.clone(),
            source,
        };
        let ends = OutputEnds::open(&bundle.run_dir).map_err(failed)?;
        let log = bundle.log.map(|options| LogWriter::open(&path, options));
        let log = log.transpose().map_err(failed)?;
        Ok(Self {
            path,
            ends,
            log,
            viewers,
            buffer: Vec::new(),
        })
    }

    /// Returns what to wait for.
    pub(super) fn sources(&self) -> impl Iterator<Item = Watched<'_>> {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        streams.map(|stream| {
            let (fd, wake) = match self.viewers.waits_for(stream) {
                Some(fd) => (fd, Wake::Writable),
                None => (self.ends.fd(stream), Wake::Readable),
            };
            Watched {
                source: Source::Output(stream),
                fd,
                wake,
            }
        })
    }

    /// Reports whether a stream, or the terminal for standard output, is not read until its viewer has caught up.
    pub(super) fn is_held_up(&self, stream: Stream) -> bool {
        self.viewers.waits_for(stream).is_some()
    }

    /// Reports whether all output has reached those who it goes to.
    pub(super) fn is_delivered(&self) -> bool {
        !self.is_held_up(Stream::Stdout) && !self.is_held_up(Stream::Stderr)
    }

    /// Writes what a stream has, at most one chunk of it; reports how much that was.
    ///
    /// It leaves the stream after it was written: a monitor that is killed loses nothing, and the next one may write
    /// the same chunk again.
    pub(super) fn pump(&mut self, stream: Stream) -> Result<usize, MonitorError> {
        if !self.viewers.catch_up(stream) {
            return Ok(0);
        }
        self.read_chunk(stream)
    }

    fn read_chunk(&mut self, stream: Stream) -> Result<usize, MonitorError> {
        let mut chunk = std::mem::take(&mut self.buffer);
        let moved = self.ends.peek(stream, &mut chunk).and_then(|count| {
            failpoint::hit("log.read")?;
            self.push(stream, &chunk[..count]);
            failpoint::hit("log.written")?;
            self.ends.take(stream, &mut chunk[..count])?;
            Ok(count)
        });
        self.buffer = chunk;
        moved.map_err(|source| MonitorError::Output {
            path: self.path.clone(),
            source,
        })
    }

    /// Writes `bytes` as if the container had written them to `stream`.
    ///
    /// What the disk has no room for is lost: neither container nor monitor waits for room.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            drop(log.push(stream, bytes, clock::timestamp()));
        }
        self.viewers.show(stream, bytes);
    }

    /// Writes all that is still in the streams, and an unfinished last line.
    pub(super) fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.read_chunk(stream).is_ok_and(|count| count > 0) {}
        }
        if let Some(log) = &mut self.log {
            // As above: what there is no room for is lost.
            drop(log.finish(clock::timestamp()));
        }
    }
}
