//! Errors of every room → what the user reads and the exit code that scripts see.
//!
//! **Invariant:** a chain of causes is walked here and nowhere else; hints are given here, by the room that talks to the
//! user, and never below.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use serde_json::json;

use super::annotate::Annotations;
use super::invocation::Invocation;
use crate::compose::diagnostic::Colour;
use crate::compose::{ComposeError, Report, Severity, Wrong};
use crate::report::{Output, Span, Style};
use crate::value::Place;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// 0: done, or nothing to do.
    Done,
    /// 1: a step failed, or what was asked for is not there.
    Failed,
    /// 2: the arguments are wrong.
    Usage,
    /// 2, of `plan` only: there is something to do.
    Changes,
    /// 3: the Compose files have mistakes.
    Compose,
    /// 4: the engine cannot be reached.
    Engine,
    /// 130: stopped by Ctrl-C or SIGTERM.
    Interrupted,
    /// 255: a bug in consort.
    Bug,
    /// The exit code of a container, passed on by `exec`, `wait` and `up --exit-code-from`.
    Container(u8),
}

impl ExitStatus {
    /// Returns how we end when we pass on a container's exit code.
    pub(super) fn of_container(code: i32) -> Self {
        // A code that no process can have, such as one that is not known, is a failure all the same.
        Self::Container(u8::try_from(code).unwrap_or(1))
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage | ExitStatus::Changes => 2,
            ExitStatus::Compose => 3,
            ExitStatus::Engine => 4,
            ExitStatus::Interrupted => 130,
            ExitStatus::Bug => 255,
            ExitStatus::Container(code) => code,
        })
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(super) struct CommandError {
    status: ExitStatus,
    message: Message,
    places: Vec<Place>,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Message {
    /// A sentence of our own.
    Text(String),
    /// What could not be done, and the error that says why.
    Cannot {
        act: String,
        source: Box<dyn Error + Send + Sync>,
    },
    /// An error of a room, which reads after "cannot".
    Room(Box<dyn Error + Send + Sync>),
    /// Several errors, none of which led to another.
    Several(Vec<CommandError>),
    /// Mistakes in Compose files, and how they are shown.
    Compose { report: Box<Report>, shown: String },
    /// Nobody reads the output any more, or everything has been said.
    Silent,
}

impl CommandError {
    /// Returns a refusal of what the user asked for, in words of our own.
    pub(super) fn user(text: impl Into<String>) -> Self {
        Self::of(ExitStatus::Failed, text)
    }

    /// Returns a refusal of the arguments.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::of(ExitStatus::Usage, text)
    }

    /// Returns an error that ends the process with this status.
    pub(super) fn of(status: ExitStatus, text: impl Into<String>) -> Self {
        Self::new(status, Message::Text(text.into()))
    }

    /// Returns the failure of an act of ours.
    pub(super) fn cannot(
        act: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(
            ExitStatus::Failed,
            Message::Cannot {
                act: act.into(),
                source: source.into(),
            },
        )
    }

    /// Returns the failure of a room, whose message reads after "cannot".
    pub(super) fn room(
        status: ExitStatus,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(status, Message::Room(source.into()))
    }

    /// Returns what kept a project from being loaded.
    pub(super) fn compose(invocation: &Invocation, error: ComposeError) -> Self {
        let shown = rendered(&error.report, &invocation.stderr());
        Self::unloaded(error, shown)
    }

    /// Returns what kept a project from being loaded, and what the user has been shown already.
    pub(super) fn compose_written(error: ComposeError) -> Self {
        Self::unloaded(error, String::new())
    }

    fn unloaded(error: ComposeError, shown: String) -> Self {
        let status = match error.wrong {
            Wrong::Files => ExitStatus::Compose,
            Wrong::Request => ExitStatus::Failed,
        };
        let report = error.report;
        Self::new(status, Message::Compose { report, shown })
    }

    /// Returns several errors as one.
    pub(super) fn several(status: ExitStatus, errors: Vec<Self>) -> Self {
        Self::new(status, Message::Several(errors))
    }

    /// Returns an end about which everything has been said.
    pub(super) fn silent(status: ExitStatus) -> Self {
        Self::new(status, Message::Silent)
    }

    /// Adds advice.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Ends the process in another way than errors of the kind usually do.
    #[must_use]
    pub(super) fn ends_with(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// Adds a place in a file.
    #[must_use]
    pub(super) fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    fn new(status: ExitStatus, message: Message) -> Self {
        Self {
            status,
            message,
            places: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Returns how the process would end.
    pub(super) fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns what is wrong with the Compose files as annotations; nothing when it is something else.
    pub(super) fn annotations(&self, annotations: &Annotations) -> String {
        match &self.message {
            Message::Several(errors) => errors
                .iter()
                .map(|error| error.annotations(annotations))
                .collect(),
            Message::Compose { report, .. } => annotations.of_report(report),
            Message::Text(_) | Message::Cannot { .. } | Message::Room(_) | Message::Silent
                if self.status != ExitStatus::Compose =>
            {
                String::new()
            }
            Message::Text(text) => self.annotation(annotations, text),
            Message::Cannot { act, .. } => self.annotation(annotations, &format!("cannot {act}")),
            Message::Room(error) => self.annotation(annotations, &format!("cannot {error}")),
            Message::Silent => String::new(),
        }
    }

    fn annotation(&self, annotations: &Annotations, text: &str) -> String {
        let text = self
            .hints
            .iter()
            .fold(text.to_owned(), |text, hint| format!("{text}\n{hint}"));
        annotations.one(Severity::Error, self.places.first(), &text)
    }

    /// Writes the error and returns how the process ends.
    pub(super) fn report(&self, output: &mut Output) -> ExitStatus {
        match self.write(output) {
            // Nobody can be told that standard error is gone.
            Err(_) if self.status == ExitStatus::Done => ExitStatus::Failed,
            Ok(()) | Err(_) => self.status,
        }
    }

    /// Writes the error for a program, on one line of JSON for each mistake, and returns how the process ends.
    pub(super) fn report_as_json(&self, output: &mut Output) -> ExitStatus {
        for sentence in self.sentences() {
            let line = json!({"error": true, "message": sentence});
            if output.line(&line.to_string()).is_err() {
                break;
            }
        }
        self.status
    }

    /// Says each mistake in a sentence, its causes included.
    fn sentences(&self) -> Vec<String> {
        match &self.message {
            Message::Silent => Vec::new(),
            Message::Several(errors) => errors.iter().flat_map(Self::sentences).collect(),
            Message::Compose { report, .. } => sentences(report, Severity::Error),
            Message::Text(text) => vec![text.clone()],
            Message::Cannot { act, source } => {
                vec![with_causes(format!("cannot {act}"), Some(source.as_ref()))]
            }
            Message::Room(error) => vec![with_causes(format!("cannot {error}"), error.source())],
        }
    }

    fn write(&self, output: &mut Output) -> io::Result<()> {
        match &self.message {
            Message::Silent => return Ok(()),
            Message::Several(errors) => {
                for error in errors {
                    error.write(output)?;
                }
            }
            Message::Compose { shown, .. } => output.bytes(shown.as_bytes())?,
            Message::Text(text) => write_heading(output, text)?,
            Message::Cannot { act, source } => {
                write_chain(output, &format!("cannot {act}"), Some(source.as_ref()))?;
            }
            Message::Room(error) => {
                write_chain(output, &format!("cannot {error}"), error.source())?;
            }
        }
        for place in &self.places {
            write_labelled(output, "at", Style::Note, &place.to_string())?;
        }
        for hint in &self.hints {
            write_labelled(output, "hint", Style::Note, hint)?;
        }
        Ok(())
    }
}

/// A reader that went away is no error: the command ends quietly.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::silent(ExitStatus::Done)
        } else {
            Self::cannot("write the output", error)
        }
    }
}

/// Writes out what is to say about Compose files, as it is shown on `output`.
pub(super) fn rendered(report: &Report, output: &Output) -> String {
    report.render(if output.has_colours() {
        Colour::Always
    } else {
        Colour::Never
    })
}

/// Says each mistake or warning about Compose files in a sentence, after its place.
pub(super) fn sentences(report: &Report, severity: Severity) -> Vec<String> {
    let documents = report.documents().into_iter();
    documents
        .filter(|document| document.severity == severity)
        .map(|it| match (it.file, it.line, it.column) {
            (Some(file), Some(line), Some(column)) => {
                format!("{file}:{line}:{column}: {}", it.message)
            }
            _ => it.message,
        })
        .collect()
}

fn with_causes(sentence: String, cause: Option<&(dyn Error + 'static)>) -> String {
    let causes = causes(&sentence, cause);
    std::iter::once(sentence)
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Returns the chain of causes of what a heading says; one that has been said already is left out.
fn causes(heading: &str, mut cause: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    while let Some(error) = cause {
        let text = error.to_string();
        let is_new = !heading.ends_with(&text) && said.iter().all(|it| !it.ends_with(&text));
        if is_new && !text.is_empty() {
            said.push(text);
        }
        cause = error.source();
    }
    said
}

/// Writes clap's answer to words that it does not take, and returns how the process ends.
pub(super) fn show_refusal(refusal: &clap::Error, status: ExitStatus) -> ExitStatus {
    match refusal.print() {
        Ok(()) => status,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status,
        Err(_) => ExitStatus::Failed,
    }
}

/// Writes a warning for a program, as one line of JSON.
pub(super) fn warn_as_json(output: &mut Output, text: &str) -> io::Result<()> {
    output.line(&json!({"level": "warning", "msg": text}).to_string())
}

/// Writes a warning.
pub(super) fn warn(output: &mut Output, text: &str) -> io::Result<()> {
    output.spans(&[
        Span::new(Style::Warning, "warning"),
        Span::plain(format!(": {text}")),
    ])
}

fn write_chain(
    output: &mut Output,
    heading: &str,
    cause: Option<&(dyn Error + 'static)>,
) -> io::Result<()> {
    write_heading(output, heading)?;
    for text in causes(heading, cause) {
        write_labelled(output, "cause", Style::Dim, &text)?;
    }
    Ok(())
}

fn write_heading(output: &mut Output, text: &str) -> io::Result<()> {
    output.spans(&[
        Span::new(Style::Bad, "error"),
        Span::plain(format!(": {text}")),
    ])
}

fn write_labelled(output: &mut Output, label: &str, style: Style, text: &str) -> io::Result<()> {
    for (index, line) in text.lines().enumerate() {
        if index == 0 {
            let label = Span::new(style, format!("{label:>7}"));
            output.spans(&[label, Span::plain(format!(": {line}"))])?;
        } else {
            output.line(&format!("         {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::memory::Memory;

    #[derive(Debug, thiserror::Error)]
    #[error("create bridge `demo_default`")]
    struct Outer(#[source] io::Error);

    fn written(error: &CommandError) -> String {
        let memory = Memory::default();
        error.report(&mut memory.pipe());
        memory.text()
    }

    #[test]
    fn an_error_is_shown_with_its_causes_its_place_and_advice() {
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = CommandError::room(ExitStatus::Failed, Outer(cause))
            .at(Place {
                file: "compose.yaml".into(),
                line: 14,
                column: 7,
            })
            .hint("ask for less");
        insta::assert_snapshot!(written(&error), @r"
        error: cannot create bridge `demo_default`
          cause: permission denied
             at: compose.yaml:14:7
           hint: ask for less
        ");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("create bridge `demo_default`")]
    struct Again(#[source] Outer);

    #[test]
    fn a_cause_that_repeats_what_was_said_is_left_out() {
        let error = Again(Outer(io::Error::from(io::ErrorKind::PermissionDenied)));
        let error = CommandError::cannot("make network: create bridge `demo_default`", error);
        insta::assert_snapshot!(written(&error), @r"
        error: cannot make network: create bridge `demo_default`
          cause: permission denied
        ");
    }

    #[test]
    fn a_program_reads_an_error_with_its_causes_on_one_line() {
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = CommandError::several(
            ExitStatus::Failed,
            vec![
                CommandError::room(ExitStatus::Failed, Outer(cause)).hint("ask for less"),
                CommandError::user("no such service: `web`"),
            ],
        );
        let memory = Memory::default();
        assert_eq!(error.report_as_json(&mut memory.pipe()), ExitStatus::Failed);
        insta::assert_snapshot!(memory.text(), @r#"
        {"error":true,"message":"cannot create bridge `demo_default`: permission denied"}
        {"error":true,"message":"no such service: `web`"}
        "#);
    }

    #[test]
    fn several_errors_are_shown_below_each_other() {
        let errors = vec![
            CommandError::user("first").hint("look"),
            CommandError::user("second"),
        ];
        let error = CommandError::several(ExitStatus::Compose, errors);
        insta::assert_snapshot!(written(&error), @r"
        error: first
           hint: look
        error: second
        ");
        assert_eq!(error.status(), ExitStatus::Compose);
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let error = CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(
            (written(&error).as_str(), error.status()),
            ("", ExitStatus::Done)
        );
    }

    #[test]
    fn codes_that_no_process_has_are_failures() {
        assert_eq!(ExitStatus::of_container(255), ExitStatus::Container(255));
        assert_eq!(ExitStatus::of_container(-1), ExitStatus::Container(1));
    }
}
