//! Output of several containers → one stream of lines, in the order of time while it is read back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use futures_util::stream::{BoxStream, Peekable, SelectAll, StreamExt as _};

use super::error::{self, CommandError};
use super::invocation::{Flag, Invocation};
use crate::engine::{Engine, EngineError, LogLine, LogQuery, OutputStream, Tail};
use crate::observed::{ObservedContainer, RunState};
use crate::report::{LogPrinter, LogStyle, Output};
use crate::value::{ContainerName, ServiceName};

/// What lies between a moment and the next one.
const INSTANT: Duration = Duration::from_nanos(1);

/// A container whose output is wanted, and how it is called before its lines.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) container: ContainerName,
    pub(super) label: String,
    id: String,
}

impl Source {
    /// Returns the source of a container, labelled with its name without the project's.
    pub(super) fn of(container: &ObservedContainer) -> Self {
        Self {
            container: container.name.clone(),
            label: label(&container.name, &container.service, container.number),
            id: container.id.clone(),
        }
    }

    /// Tells whether this is the container, and not another one of its name.
    pub(super) fn is(&self, container: &ObservedContainer) -> bool {
        self.id == container.id
    }
}

/// Returns how a replica is called before its lines: its name without the project's, unless it has one of its own.
pub(super) fn label(container: &ContainerName, service: &ServiceName, number: u32) -> String {
    let usual = ["-", "_"].map(|separator| format!("{service}{separator}{number}"));
    let is_its_end = |usual: &String| container.ends_with(usual);
    let usual = usual.into_iter().find(is_its_end);
    usual.unwrap_or_else(|| container.to_string())
}

/// A container's lines, of which the first can be looked at.
type Head = (
    Source,
    Peekable<BoxStream<'static, Result<LogLine, EngineError>>>,
);

/// A line and whose it is.
pub(super) type Tagged = (Source, Result<LogLine, EngineError>);

/// Where lines go: what was written to standard error goes there again.
#[derive(Debug)]
pub(super) struct LogSink {
    printer: LogPrinter,
    stdout: Output,
    /// Where lines of standard error go, when not to standard output.
    stderr: Option<Output>,
    notes: Output,
}

/// Whether what a service wrote to standard error goes to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    /// Both go to standard output.
    Together,
    /// Each goes to its own.
    Apart,
}

impl LogSink {
    /// Returns a sink that has room for these labels before lines.
    pub(super) fn new<'labels>(
        invocation: &Invocation,
        style: LogStyle,
        (streams, no_color): (Streams, Flag),
        labels: impl IntoIterator<Item = &'labels str>,
    ) -> Self {
        Self {
            printer: LogPrinter::new(style, labels),
            stdout: invocation.stdout_without_colours(no_color),
            stderr: match streams {
                Streams::Together => None,
                Streams::Apart => Some(invocation.stderr_without_colours(no_color)),
            },
            notes: invocation.stderr(),
        }
    }

    /// Writes a line.
    pub(super) fn write(&mut self, source: &Source, line: &LogLine) -> Result<(), CommandError> {
        if line.follows_lost {
            let label = &source.label;
            let text = format!(
                "earlier output of `{label}` is not kept: `max-size` and `max-file` of its `logging` say how much is"
            );
            error::warn(&mut self.notes, &text)?;
        }
        let output = match (line.stream, &mut self.stderr) {
            (OutputStream::Stderr, Some(stderr)) => stderr,
            (OutputStream::Stdout | OutputStream::Stderr, _) => &mut self.stdout,
        };
        Ok(self
            .printer
            .line(output, &source.label, Some(line.time), &line.bytes)?)
    }

    /// Writes that a container ended, and whether it starts again.
    pub(super) fn exit(
        &mut self,
        source: &Source,
        exit_code: Option<i32>,
        state: RunState,
    ) -> Result<(), CommandError> {
        let code =
            exit_code.map_or_else(|| "an unknown code".to_owned(), |it| format!("code {it}"));
        let more = if state == RunState::Restarting {
            " (restarting)"
        } else {
            ""
        };
        let text = format!("exited with {code}{more}");
        Ok(self
            .printer
            .status(&mut self.stdout, &source.label, &text)?)
    }
}

/// Writes what the sources have written so far, merged in the order of time, and returns when each of them wrote last.
pub(super) async fn write_history(
    engine: &dyn Engine,
    sources: &[Source],
    query: &LogQuery,
    sink: &mut LogSink,
) -> Result<BTreeMap<ContainerName, SystemTime>, CommandError> {
    let query = LogQuery {
        follow: false,
        ..query.clone()
    };
    let mut heads: Vec<Head> = Vec::new();
    for source in sources {
        let lines = match engine.logs(&source.container, &query).await {
            // It is gone with all that it wrote.
            Err(EngineError::ContainerNotFound { .. }) => continue,
            lines => lines?,
        };
        heads.push((source.clone(), lines.peekable()));
    }
    let mut last_times = BTreeMap::new();
    while let Some((source, line)) = earliest(&mut heads).await {
        let line = line?;
        sink.write(&source, &line)?;
        last_times.insert(source.container.clone(), line.time);
    }
    Ok(last_times)
}

/// Writes what each source has written since its last line that was shown, or since `began`.
pub(super) async fn write_rest(
    engine: &dyn Engine,
    sources: &[Source],
    (last_times, began): (&mut BTreeMap<ContainerName, SystemTime>, Option<SystemTime>),
    sink: &mut LogSink,
) -> Result<(), CommandError> {
    for source in sources {
        let last = last_times
            .get(&source.container)
            .map(|time| *time + INSTANT);
        let query = LogQuery {
            tail: Tail::All,
            since: last.or(began),
            until: None,
            follow: false,
        };
        let written = write_history(engine, std::slice::from_ref(source), &query, sink).await?;
        last_times.extend(written);
    }
    Ok(())
}

/// Takes the line that was written first; errors come before lines.
async fn earliest(heads: &mut [Head]) -> Option<Tagged> {
    let mut first: Option<(usize, SystemTime)> = None;
    for (index, (_, lines)) in heads.iter_mut().enumerate() {
        let time = match std::pin::Pin::new(lines).peek().await {
            Some(Ok(line)) => line.time,
            Some(Err(_)) => SystemTime::UNIX_EPOCH,
            None => continue,
        };
        if first.is_none_or(|(_, earliest)| time < earliest) {
            first = Some((index, time));
        }
    }
    let (source, lines) = &mut heads[first?.0];
    lines.next().await.map(|line| (source.clone(), line))
}

/// Lines as they are written, by sources that may become more.
pub(super) struct Following<'engine> {
    engine: &'engine dyn Engine,
    /// By id: another container may have the name later.
    known: BTreeSet<String>,
    lines: SelectAll<BoxStream<'static, Tagged>>,
}

impl std::fmt::Debug for Following<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Following")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl<'engine> Following<'engine> {
    /// Follows nothing yet.
    pub(super) fn new(engine: &'engine dyn Engine) -> Self {
        Self {
            engine,
            known: BTreeSet::new(),
            lines: SelectAll::new(),
        }
    }

    /// Follows a source too, with what it writes after a moment; one that is followed already is left alone.
    pub(super) async fn add(
        &mut self,
        source: &Source,
        after: Option<SystemTime>,
        until: Option<SystemTime>,
    ) -> Result<(), CommandError> {
        if !self.known.insert(source.id.clone()) {
            return Ok(());
        }
        let since = after.map(|time| time + INSTANT);
        let query = LogQuery {
            tail: Tail::All,
            since,
            until,
            follow: true,
        };
        let lines = self.engine.logs(&source.container, &query).await?;
        let source = source.clone();
        self.lines
            .push(lines.map(move |line| (source.clone(), line)).boxed());
        Ok(())
    }

    /// Returns the next line, nothing once all sources have ended.
    pub(super) async fn next(&mut self) -> Option<Tagged> {
        self.lines.next().await
    }
}
