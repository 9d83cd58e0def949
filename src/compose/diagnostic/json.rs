//! Diagnostics into JSON for editors, and into annotations for GitHub.

use serde_json::{Value as Json, json};

use crate::compose::diagnostic::{Diagnostic, Report, Severity};

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Report {
    /// Lays all diagnostics out as data, in the order of files and lines.
    pub fn to_json(&self) -> Json {
        self.diagnostics
            .iter()
            .map(|diagnostic| self.one(diagnostic))
            .collect()
    }

    fn one(&self, diagnostic: &Diagnostic) -> Json {
        let place = self.place(diagnostic.span);
        let notes = diagnostic.notes.iter().map(|note| {
            let place = self.place(note.span);
            json!({
                "message": note.text,
                "file": place.as_ref().map(|place| place.file.display().to_string()),
                "line": place.as_ref().map(|place| place.line),
                "column": place.as_ref().map(|place| place.column),
            })
        });
        json!({
            "severity": diagnostic.severity.word(),
            "message": diagnostic.message,
            "file": place.as_ref().map(|place| place.file.display().to_string()),
            "line": place.as_ref().map(|place| place.line),
            "column": place.as_ref().map(|place| place.column),
            "end_column": place.as_ref().map(|place| place.column + diagnostic.span.width),
            "expected": diagnostic.expected,
            "hint": diagnostic.hint,
            "notes": notes.collect::<Vec<_>>(),
        })
    }

    /// Writes one workflow command of GitHub Actions for each diagnostic.
    pub fn to_github(&self) -> String {
        let line = |diagnostic: &Diagnostic| {
            let parts = [
                Some(&diagnostic.message),
                diagnostic.expected.as_ref(),
                diagnostic.hint.as_ref(),
            ];
            let text: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            let text = escape(&text.join("; "));
            let word = diagnostic.severity.word();
            match self.place(diagnostic.span) {
                None => format!("::{word}::{text}\n"),
                Some(place) => {
                    let file = escape(&place.file.display().to_string());
                    let file = file.replace(',', "%2C").replace(':', "%3A");
                    format!(
                        "::{word} file={file},line={},col={}::{text}\n",
                        place.line, place.column
                    )
                }
            }
        };
        self.diagnostics.iter().map(line).collect()
    }
}

fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
