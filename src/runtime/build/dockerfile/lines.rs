//! Physical lines into instructions: directives, comments, continuation and heredoc bodies.

use super::ast::{Directives, Escape, Heredoc, Lines};
use super::heredoc;
use super::mistake::Mistake;

/// The longest physical line.
const LINE_LIMIT_BYTES: usize = 65_535;
/// The most instructions of one file.
const INSTRUCTIONS_LIMIT: usize = 20_000;

/// An instruction as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it stands, heredoc bodies included.
    pub(super) lines: Lines,
    /// The joined text.
    pub(super) text: String,
    /// The comments directly above.
    pub(super) comments: Vec<String>,
    /// The heredocs that it opens, with their bodies.
    pub(super) heredocs: Vec<Heredoc>,
    /// The line on which it ends, where one of its lines is empty.
    pub(super) empty_continuation: Option<usize>,
}

/// Reads all instructions of a text.
pub(super) fn read(text: &str) -> Result<(Directives, Vec<Line>), Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        rest: text.split_inclusive('\n').collect::<Vec<_>>().into_iter(),
        number: 0,
        directives: Directives::default(),
        in_directives: true,
    };
    let mut found = Vec::new();
    let mut comments = Vec::new();
    while let Some(raw) = reader.next()? {
        match comment_of(raw) {
            Some(comment) => comments.push(comment.to_owned()),
            None => {
                let above = std::mem::take(&mut comments);
                found.extend(reader.instruction(raw, above)?);
            }
        }
        if found.len() > INSTRUCTIONS_LIMIT {
            return Err(Mistake::new(
                "the Dockerfile has more than 20,000 instructions",
            ));
        }
    }
    Ok((reader.directives, found))
}

struct Reader<'a> {
    rest: std::vec::IntoIter<&'a str>,
    number: usize,
    directives: Directives,
    in_directives: bool,
}

impl<'a> Reader<'a> {
    /// The next physical line, with its end.
    fn next(&mut self) -> Result<Option<&'a str>, Mistake> {
        let Some(raw) = self.rest.next() else {
            return Ok(None);
        };
        self.number += 1;
        if raw.trim_end_matches(['\r', '\n']).len() > LINE_LIMIT_BYTES {
            let message = "dockerfile line greater than max allowed size of 65535";
            return Err(Mistake::new(message).at(self.here()));
        }
        if self.in_directives {
            self.directive(raw)?;
        }
        Ok(Some(raw))
    }

    fn here(&self) -> Lines {
        Lines {
            first: self.number,
            last: self.number,
        }
    }

    /// Takes a line as a directive; the first one that is none ends them.
    fn directive(&mut self, raw: &str) -> Result<(), Mistake> {
        let pair = directive_of(raw);
        let Some((key, value)) = pair else {
            self.in_directives = false;
            return Ok(());
        };
        let is_known = match key.as_str() {
            "syntax" => set_once(&mut self.directives.syntax, value),
            "check" => set_once(&mut self.directives.check, value),
            "escape" if self.directives.escape_written => false,
            "escape" => {
                self.directives.escape = read_escape(value).map_err(|m| m.at(self.here()))?;
                self.directives.escape_written = true;
                true
            }
            _ => {
                self.in_directives = false;
                true
            }
        };
        if is_known {
            return Ok(());
        }
        let message = format!("only one {key} parser directive can be used");
        Err(Mistake::new(message).at(self.here()))
    }

    /// Reads the instruction that begins with a line; nothing for a blank one.
    fn instruction(&mut self, raw: &str, comments: Vec<String>) -> Result<Option<Line>, Mistake> {
        let first = self.number;
        let (start, mut is_end) = self.without_continuation(trim_newline(raw).trim_start());
        if is_end && start.is_empty() {
            return Ok(None);
        }
        let mut text = start;
        let mut has_empty_line = false;
        while !is_end {
            let Some(raw) = self.next()? else { break };
            if comment_of(raw).is_some() {
                continue;
            }
            let line = trim_newline(raw);
            if line.trim_start().is_empty() {
                has_empty_line = true;
                continue;
            }
            let (piece, ends) = self.without_continuation(line);
            text.push_str(&piece);
            is_end = ends;
        }
        let empty_continuation = has_empty_line.then_some(self.number);
        let mut heredocs = Vec::new();
        if heredoc::may_open(&text) {
            for heredoc in heredoc::opened_by(&text) {
                heredocs.push(self.body(heredoc, first)?);
            }
        }
        Ok(Some(Line {
            lines: Lines {
                first,
                last: self.number,
            },
            text,
            comments,
            heredocs,
            empty_continuation,
        }))
    }

    /// Reads the lines up to a heredoc's delimiter.
    fn body(&mut self, mut heredoc: Heredoc, first: usize) -> Result<Heredoc, Mistake> {
        while let Some(raw) = self.next()? {
            let line = if heredoc.chomp {
                raw.trim_start_matches('\t')
            } else {
                raw
            };
            if trim_newline(line) == heredoc.name {
                return Ok(heredoc);
            }
            heredoc.content.push_str(raw);
        }
        let lines = Lines {
            first,
            last: self.number,
        };
        let hint = format!("a line that is exactly `{}` must end it", heredoc.name);
        Err(Mistake::new("unterminated heredoc")
            .with_hint(Some(hint))
            .at(lines))
    }

    /// Takes the character off that continues a line, and says whether the instruction ends here.
    fn without_continuation(&self, line: &str) -> (String, bool) {
        let escape = self.directives.escape.character();
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(escape) {
            Some(before) if !before.ends_with(escape) => (before.to_owned(), false),
            _ => (line.to_owned(), true),
        }
    }
}

fn set_once(slot: &mut Option<String>, value: &str) -> bool {
    let is_first = slot.is_none();
    *slot = Some(value.to_owned());
    is_first
}

fn read_escape(value: &str) -> Result<Escape, Mistake> {
    match value {
        "\\" => Ok(Escape::Backslash),
        "`" => Ok(Escape::Backtick),
        _ => Err(Mistake::new(format!(
            "invalid escape token '{value}' does not match ` or \\"
        ))),
    }
}

/// Reads `# key=value`.
fn directive_of(raw: &str) -> Option<(String, &str)> {
    let (key, value) = raw.strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (key.to_ascii_lowercase(), value))
}

fn comment_of(raw: &str) -> Option<&str> {
    raw.trim_start().strip_prefix('#').map(str::trim)
}

fn trim_newline(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
