//! Mistakes and warnings, each with its place: collected by every stage, shown once at the end.
//!
//! **Invariant:** a stage adds a diagnostic or returns, never prints; showing is a function that
//! the caller calls with the colour it wants.

mod github;
mod json;
mod text;

use schemars::JsonSchema;
use serde::Serialize;

use crate::compose::budget::is_about_limits;
use crate::compose::source::Files;
use crate::compose::tree::Span;
use crate::value::Place;

pub use github::annotation;
pub use json::{DiagnosticDocument, NoteDocument};
pub use text::Colour;

/// How many diagnostics are shown.
const SHOWN_LIMIT: usize = 1_000;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The project cannot be used.
    Error,
    /// The project works, but perhaps not as its author thinks.
    Warning,
}

/// A further place that helps to understand a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it is.
    pub span: Span,
    /// What is there, as a fragment.
    pub text: String,
}

/// What a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// What stands at its place.
    Written,
    /// Something that is missing from what stands there.
    Missing,
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// What is wrong, as one fragment.
    pub message: String,
    /// Where it is; a line of zero means that it belongs to no line.
    pub span: Span,
    /// What was expected there: shown under the value.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The way that led to it: includes, extends, overrides.
    pub notes: Vec<Note>,
}

impl Diagnostic {
    /// Makes an error.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    /// Makes an error about something that what stands at its place lacks.
    pub fn missing(span: Span, message: impl Into<String>) -> Self {
        Self {
            about: About::Missing,
            ..Self::error(span, message)
        }
    }

    /// Makes a warning.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    /// Says that a file from another machine names something that did not come with it.
    pub(crate) fn astray(shown: &str, span: Span) -> Self {
        Self::error(span, format!("`{shown}` did not come with this file"))
            .expected("expected a path inside the fetched project")
            .hint("what comes from another machine may not read your files: name this one in a file of yours, with a second `-f`")
    }

    fn new(severity: Severity, span: Span, message: String) -> Self {
        Self {
            severity,
            about: About::Written,
            message,
            span,
            expected: None,
            hint: None,
            notes: Vec::new(),
        }
    }

    /// Says what was expected at the place.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds a further place.
    #[must_use]
    pub fn note(mut self, span: Span, text: impl Into<String>) -> Self {
        self.notes.push(Note {
            span,
            text: text.into(),
        });
        self
    }
}

/// Diagnostics together with the files they point into.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The diagnostics, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read.
    pub files: Files,
}

impl Report {
    /// What is said of a place that names the file of a diagnostic.
    const NAMED: &str = "this file is named";

    /// Sorts the diagnostics by place and drops repetitions, and all that nobody would read.
    pub(crate) fn of(mut diagnostics: Vec<Diagnostic>, files: Files) -> Self {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        diagnostics.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        let mut limits = 0;
        diagnostics.retain(|diagnostic| {
            let is_limit = is_about_limits(&diagnostic.message);
            limits += usize::from(is_limit);
            !is_limit || limits == 1
        });
        for diagnostic in &mut diagnostics {
            if is_about_limits(&diagnostic.message) {
                let counts =
                    "aliases, `extends`, short forms and ranges of ports count as what they become";
                diagnostic.hint.get_or_insert_with(|| counts.to_owned());
            }
        }
        let (all, is_error) = (diagnostics.len(), |d: &Diagnostic| {
            d.severity == Severity::Error
        });
        if all > SHOWN_LIMIT {
            let any_error = diagnostics.iter().any(is_error);
            diagnostics.retain(|diagnostic| is_error(diagnostic) || !any_error);
            diagnostics.truncate(SHOWN_LIMIT);
            let rest = all - diagnostics.len();
            let (severity, message) = (
                diagnostics[0].severity,
                format!("{rest} more are not shown"),
            );
            diagnostics.push(Diagnostic::new(severity, Span::default(), message));
        }
        Self { diagnostics, files }
    }

    /// Returns where a diagnostic points.
    pub fn place(&self, span: Span) -> Option<Place> {
        self.files.place(span)
    }

    /// Tells which variables filled the value that a mistake is in.
    fn variables(&self, diagnostic: &Diagnostic) -> Vec<String> {
        match diagnostic.severity {
            Severity::Error => self.files.variables(diagnostic.span),
            // These warn of the variables themselves.
            Severity::Warning => Vec::new(),
        }
    }

    /// Returns where the file of a span was asked for, where that file was asked for, and so on.
    fn way(&self, span: Span) -> Vec<Span> {
        self.files.way(span)
    }
}

/// Why a project could not be loaded: every mistake that was found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("load the project: {} in the Compose files", mistakes(.report))]
pub struct ComposeError {
    /// The mistakes, and the warnings found beside them.
    pub report: Box<Report>,
    /// Where the mistakes are.
    pub wrong: Wrong,
}

/// Where the mistakes are that keep a project from being loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// In the Compose files, or in what they name.
    Files,
    /// In the request: it names services that the files do not have.
    Request,
}

fn mistakes(report: &Report) -> String {
    let errors = report
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count();
    if errors == 1 {
        "1 mistake".to_owned()
    } else {
        format!("{errors} mistakes")
    }
}
