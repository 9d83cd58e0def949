//! Diagnostics as data, for editors and other programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::compose::diagnostic::{Diagnostic, Report, Severity};
use crate::compose::tree::Span;

/// A mistake or a warning, as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Diagnostic")]
pub struct DiagnosticDocument {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file; nothing when it belongs to no file.
    pub file: Option<String>,
    /// The line, from one.
    pub line: Option<u32>,
    /// The column of the first character, from one.
    pub column: Option<u32>,
    /// The column after the last character.
    pub end_column: Option<u32>,
    /// What was expected instead.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Further places: what it collides with, and the includes and extends that led to it.
    pub notes: Vec<NoteDocument>,
}

/// A further place that helps to understand a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Note")]
pub struct NoteDocument {
    /// What is there.
    pub message: String,
    /// The file.
    pub file: Option<String>,
    /// The line, from one.
    pub line: Option<u32>,
    /// The column, from one.
    pub column: Option<u32>,
}

impl Report {
    /// Lays all diagnostics out as data, in the order of files and lines.
    pub fn documents(&self) -> Vec<DiagnosticDocument> {
        self.diagnostics
            .iter()
            .map(|diagnostic| self.document(diagnostic))
            .collect()
    }

    fn document(&self, diagnostic: &Diagnostic) -> DiagnosticDocument {
        let notes = diagnostic.notes.iter().map(|note| (note.span, &*note.text));
        let way = self.way(diagnostic.span);
        let named_here = format!("{} here", Self::NAMED);
        let way = way.into_iter().map(|span| (span, named_here.as_str()));
        let variables = self.variables(diagnostic);
        let variables = variables
            .iter()
            .map(|text| (Span::default(), text.as_str()));
        let place = self.place(diagnostic.span);
        let column = place.as_ref().map(|place| place.column);
        DiagnosticDocument {
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            line: place.as_ref().map(|place| place.line),
            column,
            end_column: column.map(|column| column + diagnostic.span.width),
            file: place.map(|place| place.file.display().to_string()),
            expected: diagnostic.expected.clone(),
            hint: diagnostic.hint.clone(),
            notes: notes
                .chain(variables)
                .chain(way)
                .map(|(span, text)| self.note(span, text))
                .collect(),
        }
    }

    fn note(&self, span: Span, text: &str) -> NoteDocument {
        let place = self.place(span);
        NoteDocument {
            message: text.to_owned(),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            file: place.map(|place| place.file.display().to_string()),
        }
    }
}

impl Severity {
    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}
