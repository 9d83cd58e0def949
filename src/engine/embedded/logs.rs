//! What containers wrote, as a stream of lines, and what they go on to write.

use std::collections::VecDeque;
use std::time::SystemTime;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::inner::Inner;
use super::record::ContainerRecord;
use super::watch::{Change, DirWatch};
use crate::engine::{EngineError, LogLine, LogQuery, LogStream, OutputStream, Tail};
use crate::runtime::monitor::log::{self, LogReader, Since, Stream};
use crate::value::ContainerName;

impl Inner {
    /// Reads a container's output as `query` wants it.
    pub(super) fn logs(
        &self,
        name: &ContainerName,
        query: &LogQuery,
    ) -> Result<LogStream, EngineError> {
        let record = self.get(name)?;
        let follower = Follower::open(self.folder(&record), &record, query)?;
        Ok(stream::unfold(follower, Follower::next).boxed())
    }
}

/// One reader of one log.
struct Follower {
    name: ContainerName,
    dir: std::path::PathBuf,
    reader: LogReader,
    watch: Option<DirWatch>,
    ready: VecDeque<LogLine>,
    joined: Joined,
    until: Option<SystemTime>,
    /// Whether the next line is the first one, and all from the start are wanted.
    is_first: bool,
    is_over: bool,
}

impl Follower {
    fn open(
        dir: std::path::PathBuf,
        record: &ContainerRecord,
        query: &LogQuery,
    ) -> Result<Self, EngineError> {
        let act = |error| {
            EngineError::act(
                format!("read the output of container `{}`", record.name),
                error,
            )
        };
        let since = match query.since.map(jiff::Timestamp::try_from) {
            Some(Ok(time)) => Since::Time(time),
            Some(Err(_)) | None => Since::Start,
        };
        let watch = if query.follow {
            let watch = DirWatch::new(Change::Bytes).map_err(act)?;
            watch.add(&dir).map_err(act)?;
            Some(watch)
        } else {
            None
        };
        let mut follower = Self {
            name: record.name.clone(),
            reader: LogReader::open(&dir, since).map_err(act)?,
            dir,
            watch,
            ready: VecDeque::new(),
            joined: Joined::default(),
            until: query.until,
            is_first: query.tail == Tail::All,
            is_over: false,
        };
        if let Tail::Lines(count) = query.tail {
            while follower.read_more().map_err(act)? {
                let extra = follower.ready.len().saturating_sub(count);
                drop(follower.ready.drain(..extra));
            }
        }
        Ok(follower)
    }

    /// Reads the next lines; reports whether there were any.
    fn read_more(&mut self) -> std::io::Result<bool> {
        let lines = self.reader.read_lines()?;
        let any = !lines.is_empty();
        for line in lines {
            self.ready.extend(self.joined.join(&line));
        }
        Ok(any)
    }

    async fn next(mut self) -> Option<(Result<LogLine, EngineError>, Self)> {
        loop {
            if self.is_over {
                return None;
            }
            if let Some(mut line) = self.ready.pop_front() {
                line.follows_lost =
                    std::mem::take(&mut self.is_first) && self.reader.lost_earlier();
                if self.until.is_some_and(|until| line.time > until) {
                    return None;
                }
                return Some((Ok(line), self));
            }
            match self.advance().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    let act = format!("read the output of container `{}`", self.name);
                    self.is_over = true;
                    return Some((Err(EngineError::act(act, error)), self));
                }
            }
        }
    }

    /// Reads more, waiting for it where lines are followed; reports whether there can be more.
    async fn advance(&mut self) -> std::io::Result<bool> {
        if self.read_more()? {
            return Ok(true);
        }
        let Some(watch) = &self.watch else {
            return Ok(false);
        };
        if !self.dir.exists() {
            return Ok(false);
        }
        watch.changed().await?;
        Ok(true)
    }
}

/// Puts the pieces of long lines together again.
#[derive(Default)]
struct Joined {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Joined {
    /// No joined line is longer; what is longer is shown in pieces.
    const LIMIT_BYTES: usize = 1 << 20;

    fn join(&mut self, line: &log::LogLine) -> Option<LogLine> {
        let held = match line.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        held.extend_from_slice(&line.bytes);
        if line.partial && held.len() < Self::LIMIT_BYTES {
            return None;
        }
        let stream = match line.stream {
            Stream::Stdout => OutputStream::Stdout,
            Stream::Stderr => OutputStream::Stderr,
        };
        Some(LogLine {
            time: line.time.into(),
            stream,
            bytes: std::mem::take(held),
            follows_lost: false,
        })
    }
}
