//! Diagnostics into text for people: place, line, caret, expectation, hint, the way that led there.

use crate::compose::diagnostic::{Diagnostic, Report, Severity};
use crate::compose::tree::Span;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// With the escape sequences of terminals.
    Always,
}

/// The longest part of a line that is shown.
const LINE_LIMIT: usize = 120;

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const CYAN: &str = "1;36";

impl Report {
    /// Shows all diagnostics.
    pub fn render(&self, colour: Colour) -> String {
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            Painter {
                report: self,
                colour,
                out: &mut out,
            }
            .diagnostic(diagnostic);
        }
        out
    }
}

struct Painter<'a> {
    report: &'a Report,
    colour: Colour,
    out: &'a mut String,
}

impl Painter<'_> {
    fn diagnostic(&mut self, diagnostic: &Diagnostic) {
        let (word, style) = match diagnostic.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        self.paint(word, style);
        self.paint(": ", BOLD);
        self.paint(&printable(&diagnostic.message), BOLD);
        self.out.push('\n');
        let width = gutter(diagnostic);
        self.excerpt(diagnostic, width, style);
        for note in &diagnostic.notes {
            self.remark(
                width,
                "note",
                &format!("{}{}", printable(&note.text), self.at(note.span)),
            );
        }
        for text in self.report.variables(diagnostic) {
            self.remark(width, "note", &printable(&text));
        }
        self.way(diagnostic.span, width);
        if let Some(hint) = &diagnostic.hint {
            self.remark(width, "hint", &printable(hint));
        }
        self.out.push('\n');
    }

    /// Shows the line with a caret under the value.
    fn excerpt(&mut self, diagnostic: &Diagnostic, width: usize, style: &str) {
        let span = diagnostic.span;
        let Some(place) = self.report.place(span) else {
            if let Some(expected) = &diagnostic.expected {
                self.remark(width, "note", &printable(expected));
            }
            return;
        };
        self.out.push_str(&" ".repeat(width));
        self.paint("--> ", BLUE);
        self.out.push_str(&place.to_string());
        self.out.push('\n');
        let line = self.report.files.line(span).unwrap_or_default();
        let (shown, offset) = window(line, span.column as usize);
        let width_of = |from: usize, count: usize| -> usize {
            shown.chars().skip(from).take(count).map(columns).sum()
        };
        self.margin(width, "");
        self.margin_with(width, &span.line.to_string(), &shown);
        let room = shown.chars().count().saturating_sub(offset).max(1);
        let covered = (span.width as usize).clamp(1, room);
        let carets = "^".repeat(width_of(offset, covered).max(1));
        self.paint(&format!("{} | ", " ".repeat(width)), BLUE);
        self.out.push_str(&" ".repeat(width_of(0, offset)));
        self.paint(&carets, style);
        if let Some(expected) = &diagnostic.expected {
            self.out.push(' ');
            self.paint(&printable(expected), style);
        }
        self.out.push('\n');
    }

    /// Tells which files asked for the file that the span is in.
    fn way(&mut self, span: Span, width: usize) {
        for asked_by in self.report.way(span) {
            let text = format!("{}{}", Report::NAMED, self.at(asked_by));
            self.remark(width, "note", &text);
        }
    }

    fn at(&self, span: Span) -> String {
        self.report
            .place(span)
            .map(|place| format!(" at {place}"))
            .unwrap_or_default()
    }

    fn margin(&mut self, width: usize, text: &str) {
        self.paint(&format!("{} |", " ".repeat(width)), BLUE);
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn margin_with(&mut self, width: usize, number: &str, text: &str) {
        self.paint(&format!("{number:>width$} | "), BLUE);
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn remark(&mut self, width: usize, word: &str, text: &str) {
        self.out.push_str(&" ".repeat(width));
        self.paint(" = ", BLUE);
        self.paint(word, CYAN);
        self.out.push_str(": ");
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn paint(&mut self, text: &str, style: &str) {
        match self.colour {
            Colour::Never => self.out.push_str(text),
            Colour::Always => {
                self.out.push_str("\u{1b}[");
                self.out.push_str(style);
                self.out.push('m');
                self.out.push_str(text);
                self.out.push_str("\u{1b}[0m");
            }
        }
    }
}

/// Returns how many characters the number of the line takes.
fn gutter(diagnostic: &Diagnostic) -> usize {
    if diagnostic.span.line == 0 {
        1
    } else {
        diagnostic.span.line.to_string().len()
    }
}

/// Cuts a long line around a column; returns the part and where the column is in it.
fn window(line: &str, column: usize) -> (String, usize) {
    let column = column.saturating_sub(1);
    let chars: Vec<char> = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if chars.len() <= LINE_LIMIT {
        let column = column.min(chars.len());
        return (chars.into_iter().collect(), column);
    }
    let start = column
        .saturating_sub(LINE_LIMIT / 3)
        .min(chars.len() - LINE_LIMIT);
    let end = (start + LINE_LIMIT).min(chars.len());
    (
        chars[start..end].iter().collect(),
        column.saturating_sub(start).min(LINE_LIMIT),
    )
}

/// Returns how many columns a terminal gives to a character.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Replaces control characters, so that a file cannot write to the terminal.
fn printable(text: &str) -> String {
    const TEXT_LIMIT: usize = 400;
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.clone().take(TEXT_LIMIT).collect();
    if clean.count() > TEXT_LIMIT {
        short.push('…');
    }
    short
}
