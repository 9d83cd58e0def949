//! Lines of several containers → one stream in which each line says whose it is.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use super::human;
use super::output::{Output, Span, Style};

/// Whether each line starts with the name of its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `web-1  | `
    Shown,
    /// Nothing before the line.
    Hidden,
}

/// Whether each line starts with the time at which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// RFC 3339 with nanoseconds, after the prefix.
    Shown,
    /// No time.
    Hidden,
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct LogStyle {
    /// Names before lines.
    pub prefix: Prefix,
    /// Times before lines.
    pub timestamps: Timestamps,
}

/// Writes the lines of containers, with a colour for each container.
#[derive(Debug)]
pub struct LogPrinter {
    style: LogStyle,
    width: usize,
    colours: BTreeMap<String, usize>,
}

impl LogPrinter {
    /// Returns a printer that knows these containers; others may join later.
    pub fn new<'names>(style: LogStyle, containers: impl IntoIterator<Item = &'names str>) -> Self {
        let mut printer = Self {
            style,
            width: 0,
            colours: BTreeMap::new(),
        };
        for name in containers {
            printer.introduce(name);
        }
        printer
    }

    /// Gives a container its colour and makes room for its name.
    pub fn introduce(&mut self, container: &str) {
        let next = self.colours.len();
        self.colours.entry(container.to_owned()).or_insert(next);
        self.width = self.width.max(container.chars().count());
    }

    /// Writes one line, without its line break, of a container.
    pub fn line(
        &mut self,
        output: &mut Output,
        container: &str,
        time: Option<SystemTime>,
        payload: &[u8],
    ) -> io::Result<()> {
        let mut prefix = self.prefix(container);
        if let (Timestamps::Shown, Some(time)) = (self.style.timestamps, time) {
            prefix.push(Span::plain(format!("{} ", human::rfc3339(time))));
        }
        output.service_line(&prefix, payload)
    }

    /// Writes what happened to a container between its lines: `web-1 exited with code 0`.
    pub fn status(&mut self, output: &mut Output, container: &str, text: &str) -> io::Result<()> {
        self.introduce(container);
        let style = Style::Service(self.colours[container]);
        output.spans(&[Span::new(style, container), Span::plain(format!(" {text}"))])
    }

    fn prefix(&mut self, container: &str) -> Vec<Span> {
        match self.style.prefix {
            Prefix::Hidden => Vec::new(),
            Prefix::Shown => {
                self.introduce(container);
                let text = format!("{container:<width$} | ", width = self.width + 1);
                vec![Span::new(Style::Service(self.colours[container]), text)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::output::memory::Memory;

    #[test]
    fn names_are_padded_to_the_longest() {
        let memory = Memory::default();
        let mut output = memory.pipe();
        let style = LogStyle {
            prefix: Prefix::Shown,
            timestamps: Timestamps::Hidden,
        };
        let mut printer = LogPrinter::new(style, ["web-1", "database-1"]);
        printer.line(&mut output, "web-1", None, b"ready").unwrap();
        printer
            .line(&mut output, "database-1", None, b"ready")
            .unwrap();
        printer
            .status(&mut output, "web-1", "exited with code 0")
            .unwrap();
        insta::assert_snapshot!(memory.text(), @r"
        web-1       | ready
        database-1  | ready
        web-1 exited with code 0
        ");
    }

    #[test]
    fn a_timestamp_stands_between_name_and_line() {
        let memory = Memory::default();
        let style = LogStyle {
            prefix: Prefix::Hidden,
            timestamps: Timestamps::Shown,
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        LogPrinter::new(style, [])
            .line(&mut memory.pipe(), "web-1", Some(time), b"ready")
            .unwrap();
        assert_eq!(memory.text(), "1970-01-01T00:00:01.500000000Z ready\n");
    }
}
