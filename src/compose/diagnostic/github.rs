//! Diagnostics into workflow commands of GitHub Actions, which show them beside the lines of a change.

use std::path::Path;

use crate::compose::diagnostic::{Diagnostic, Report, Severity};
use crate::value::Place;

impl Report {
    /// Writes one workflow command for each diagnostic; files are named from the root of the checkout.
    pub fn to_github(&self, root: Option<&Path>) -> String {
        let line = |diagnostic: &Diagnostic| {
            let way = self.way(diagnostic.span);
            let way = way.into_iter().filter_map(|span| self.place(span));
            let way: Vec<String> = way
                .map(|place| format!("{} at {place}", Self::NAMED))
                .collect();
            let parts = [&diagnostic.expected, &diagnostic.hint];
            let variables = self.variables(diagnostic);
            let parts = parts.into_iter().flatten().chain(&variables).chain(&way);
            let text = parts.fold(diagnostic.message.clone(), |text, part| {
                format!("{text}\n{part}")
            });
            let place = self.place(diagnostic.span);
            annotation(diagnostic.severity, place.as_ref(), &text, root)
        };
        self.diagnostics.iter().map(line).collect()
    }
}

/// Writes one workflow command.
pub fn annotation(
    severity: Severity,
    place: Option<&Place>,
    text: &str,
    root: Option<&Path>,
) -> String {
    let word = severity.word();
    let text = escape(text);
    let Some(place) = place else {
        return format!("::{word}::{text}\n");
    };
    let file = root.and_then(|root| place.file.strip_prefix(root).ok());
    let file = file.unwrap_or(&place.file).display().to_string();
    let file = escape(&file).replace(',', "%2C").replace(':', "%3A");
    let Place { line, column, .. } = place;
    format!("::{word} file={file},line={line},col={column}::{text}\n")
}

fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        let place = Place {
            file: "/repo/a,b:c.yaml".into(),
            line: 3,
            column: 5,
        };
        let written = annotation(
            Severity::Error,
            Some(&place),
            "100 %\n::warning::x",
            Some(Path::new("/repo")),
        );
        assert_eq!(
            written,
            "::error file=a%2Cb%3Ac.yaml,line=3,col=5::100 %25%0A::warning::x\n"
        );
        let nowhere = annotation(Severity::Warning, None, "x", None);
        assert_eq!(nowhere, "::warning::x\n");
    }
}
