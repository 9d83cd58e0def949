//! What is wrong with a Dockerfile, and where.

use super::ast::Lines;
use super::words::WordError;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands, if anywhere.
    pub lines: Option<Lines>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Mistake {
    /// Describes a mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            lines: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = self.hint.or(hint);
        self
    }

    /// Adds the place, unless a closer one is known.
    #[must_use]
    pub fn at(mut self, lines: Lines) -> Self {
        self.lines = self.lines.or(Some(lines));
        self
    }

    /// Draws the lines around the mistake, with a mark in front of those that are wrong.
    pub fn excerpt(&self, name: &str, text: &str) -> String {
        const AROUND: usize = 2;
        let Some(lines) = self.lines else {
            return String::new();
        };
        let first = lines.first.saturating_sub(AROUND).max(1);
        let last = lines.last.min(lines.first + 20) + AROUND;
        let mut out = format!("{name}:{}\n--------------------\n", lines.first);
        let numbered = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        for (number, line) in numbered.skip(first - 1).take(last + 1 - first) {
            let is_wrong = (lines.first..=lines.last).contains(&number);
            let mark = if is_wrong { ">>>" } else { "   " };
            out.push_str(&format!("{number:4} | {mark} {line}\n"));
            if is_wrong && lines.first == lines.last {
                out.push_str(&caret(line, &self.message));
            }
        }
        out.push_str("--------------------\n");
        out
    }
}

/// Points at the word that a message quotes, or at the whole line.
fn caret(line: &str, message: &str) -> String {
    let quoted = message.split(['"', '\'', '`']).nth(1);
    let named = message.rsplit_once(": ").map(|(_, word)| word);
    let found = [quoted, named]
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .find_map(|word| line.find(word).map(|at| (at, word)));
    let start = line.len() - line.trim_start().len();
    let (at, word) = found.unwrap_or((start, line.trim()));
    let indent = line.get(..at).map_or(0, |before| before.chars().count());
    let width = word.chars().count().max(1);
    format!("     |     {}{}\n", " ".repeat(indent), "^".repeat(width))
}

impl From<WordError> for Mistake {
    fn from(error: WordError) -> Self {
        Self::new(error.to_string())
    }
}
