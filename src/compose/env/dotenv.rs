//! The dotenv format: `KEY=value`, `KEY: value`, `export KEY=value`, quotations, comments.
//!
//! **Invariant:** unquoted and double-quoted values are interpolated, single-quoted ones never;
//! variables outside the file go before those of the file, as in Docker Compose.

use std::collections::BTreeMap;

use crate::compose::budget::Budget;
use crate::compose::env::{LineError, Lookup, Variables, check_bytes, check_count};
use crate::compose::interpolate::{Problem, Scope, substitute};

/// What the lines of such a file are.
const FORM: &str = "a line is `NAME=value`, or a comment that begins with `#`";

/// How many doubts about one file are told.
const DOUBT_LIMIT: usize = 20;

/// Reads a file into `variables`, which may hold those of earlier files; a name alone is inherited.
///
/// Returns what its author perhaps did not mean.
pub(crate) fn parse(
    text: &str,
    variables: &mut Variables,
    lookup: Lookup<'_>,
) -> Result<Vec<LineError>, LineError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_bytes(text)?;
    let mut reader = Reader::new(text);
    while reader.skip_to_statement() {
        let line = reader.line;
        let (key, has_value) = reader.key()?;
        check_count(variables, line)?;
        if has_value {
            let value = reader.value(variables, lookup)?;
            let (column, width) = reader.place;
            let refused = |problem| LineError::new(line, describe(&problem)).at(column, width);
            let value = value.map_err(refused)?;
            if value.starts_with("# ") {
                reader.doubt(comment_as_value(&key));
            }
            variables.insert(key, value);
        } else if let Some(value) = lookup(&key) {
            variables.insert(key, value);
        }
    }
    Ok(reader.doubts)
}

/// Returns the lines on which a file sets its variables, the last one of each.
pub(crate) fn lines(text: &str) -> BTreeMap<String, u32> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text);
    let mut found = BTreeMap::new();
    while reader.skip_to_statement() {
        let line = reader.line;
        let Ok((key, has_value)) = reader.key() else {
            break;
        };
        if has_value && reader.value(&Variables::new(), &|_| None).is_err() {
            break;
        }
        found.insert(key, line);
    }
    found
}

fn describe(problem: &Problem) -> String {
    match problem {
        Problem::Invalid(text) => format!("`{text}` is no valid use of a variable"),
        Problem::Required { name, reason } if reason.is_empty() => {
            format!("the variable `{name}` must be set")
        }
        Problem::Required { name, reason } => {
            format!("the variable `{name}` must be set: {reason}")
        }
        Problem::TooMuch(message) => message.clone(),
    }
}

/// Doubts a value that is a comment: one that follows `=` directly is none.
fn comment_as_value(key: &str) -> (String, String) {
    (
        format!("the value of `{key}` is what looks like a comment behind it"),
        format!("write the comment on a line of its own, or `{key}=''` before it"),
    )
}

/// Doubts a variable without a name, which no program can be given.
fn nameless() -> (String, String) {
    let message = "the name of the variable is missing".to_owned();
    (message, FORM.to_owned())
}

/// Doubts a variable that nobody set.
fn unset(name: &str) -> (String, String) {
    (
        format!("the variable `{name}` is not set; it becomes an empty string"),
        format!("write the value between `'` if `${name}` is no variable"),
    )
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
    line: u32,
    /// The line that the statement begins on.
    start: u32,
    /// The column of the value that is read, and how much of it is on that line.
    place: (u32, u32),
    budget: Budget,
    doubts: Vec<LineError>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            rest: text,
            line: 1,
            start: 1,
            place: (1, 1),
            budget: Budget::default(),
            doubts: Vec::new(),
        }
    }

    fn doubt(&mut self, (message, hint): (String, String)) {
        if self.doubts.len() < DOUBT_LIMIT {
            let (column, width) = self.place;
            let doubt = LineError::new(self.start, message).at(column, width);
            self.doubts.push(doubt.hint(hint));
        }
    }

    /// Returns the column of what lies `ahead` bytes ahead on this line.
    fn column(&self, ahead: usize) -> u32 {
        let before = &self.text[..self.text.len() - self.rest.len() + ahead];
        let line = before.rsplit('\n').next().unwrap_or_default();
        count(line).saturating_add(1)
    }

    /// Takes `bytes` off the front and counts their lines.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        let lines = taken.bytes().filter(|b| *b == b'\n').count();
        self.line += u32::try_from(lines).unwrap_or(u32::MAX);
        self.rest = rest;
        taken
    }

    /// Skips blank space and comments; returns whether a statement follows.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let blank = self
                .rest
                .find(|c: char| !c.is_whitespace())
                .unwrap_or(self.rest.len());
            self.take(blank);
            if !self.rest.starts_with('#') {
                self.start = self.line;
                return !self.rest.is_empty();
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(comment);
        }
    }

    /// Reads a key and what ends it; returns whether a value follows.
    fn key(&mut self) -> Result<(String, bool), LineError> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            let skipped = self.rest.len() - rest.trim_start_matches(is_blank).len();
            self.take(skipped);
        }
        let line = self.line;
        let mut end = self.rest.len();
        let mut has_value = false;
        for (index, c) in self.rest.char_indices() {
            if matches!(c, '=' | ':' | '\n') {
                end = index;
                has_value = c != '\n';
                break;
            }
            let fits = matches!(c, '_' | '.' | '-' | '[' | ']') || c.is_alphanumeric();
            if !fits && !is_blank(c) {
                let shown = self.rest.lines().next().unwrap_or_default();
                let message = format!("unexpected character `{c}` in the variable name `{shown}`");
                let fault = LineError::new(line, message).at(self.column(index), 1);
                return Err(fault.hint(FORM));
            }
        }
        let column = self.column(0);
        let key = self.take(end).trim_end().to_owned();
        self.take(usize::from(!self.rest.is_empty()));
        if key.is_empty() {
            self.place = (column, 1);
            self.doubt(nameless());
        }
        if key.contains(' ') {
            let message = format!("the variable name `{key}` cannot contain a space");
            let fault = LineError::new(line, message).at(column, count(&key));
            return Err(if has_value { fault } else { fault.hint(FORM) });
        }
        let blank = self.rest.len() - self.rest.trim_start_matches(is_blank).len();
        if has_value {
            self.take(blank);
        }
        Ok((key, has_value))
    }

    /// Reads a value; the inner result is that of its interpolation.
    fn value(
        &mut self,
        variables: &Variables,
        lookup: Lookup<'_>,
    ) -> Result<Result<String, Problem>, LineError> {
        let shown = self.rest.lines().next().unwrap_or_default();
        self.place = (self.column(0), count(shown.trim_end()));
        match self.rest.chars().next() {
            Some('"') => {
                let text = self.quoted('"')?;
                Ok(self.expand(&unescape(&text), variables, lookup))
            }
            Some('\'') => self.quoted('\'').map(Ok),
            _ => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let text = self.take(end);
                self.take(usize::from(!self.rest.is_empty()));
                let text = text.split_once(" #").map_or(text, |(value, _)| value);
                Ok(self.expand(text.trim_end(), variables, lookup))
            }
        }
    }

    fn expand(
        &mut self,
        text: &str,
        variables: &Variables,
        lookup: Lookup<'_>,
    ) -> Result<String, Problem> {
        if !text.contains('$') {
            return Ok(text.to_owned());
        }
        let find = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
        let mut scope = Scope::with(find);
        let filled = substitute(text, &mut scope)?;
        self.budget.text(scope.spent_bytes())?;
        for name in &scope.unset {
            self.doubt(unset(name));
        }
        Ok(filled)
    }

    /// Reads a quotation; only the quotation mark itself can be escaped at this point.
    fn quoted(&mut self, quote: char) -> Result<String, LineError> {
        let line = self.line;
        let mut out = String::new();
        let mut escaped = false;
        for (index, c) in self.rest.char_indices().skip(1) {
            if c == quote && !escaped {
                self.take(index + 1);
                return Ok(out);
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if std::mem::take(&mut escaped) && c != quote {
                out.push('\\');
            }
            out.push(c);
        }
        let shown = self.rest.lines().next().unwrap_or_default();
        let message = format!("the quotation never ends: {shown}");
        let (column, width) = self.place;
        Err(LineError::new(line, message).at(column, width))
    }
}

fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}

/// Resolves the escapes of a double-quoted value; `\$` becomes `$$`, which interpolation reads.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find('\\') {
        out.push_str(&rest[..index]);
        let after = &rest[index + 1..];
        let (replacement, used) = match after.chars().next() {
            Some('n') => ("\n".to_owned(), 1),
            Some('r') => ("\r".to_owned(), 1),
            Some('t') => ("\t".to_owned(), 1),
            Some('a') => ("\u{7}".to_owned(), 1),
            Some('b') => ("\u{8}".to_owned(), 1),
            Some('f') => ("\u{c}".to_owned(), 1),
            Some('v') => ("\u{b}".to_owned(), 1),
            Some('$') => ("$$".to_owned(), 1),
            Some('\\') => ("\\".to_owned(), 1),
            Some('"') => ("\"".to_owned(), 1),
            Some('0') => octal(after),
            _ => ("\\".to_owned(), 0),
        };
        out.push_str(&replacement);
        rest = &after[used..];
    }
    out + rest
}

/// Reads `0` and exactly three octal digits; anything else stays as it is.
fn octal(text: &str) -> (String, usize) {
    let digits = text[1..]
        .bytes()
        .take(3)
        .take_while(|b| (b'0'..=b'7').contains(b))
        .count();
    let code = u32::from_str_radix(&text[1..=digits], 8)
        .ok()
        .filter(|code| *code < 256);
    match code.and_then(char::from_u32) {
        Some(c) if digits == 3 => (c.to_string(), 4),
        _ => ("\\".to_owned(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Variables, LineError> {
        let mut variables = Variables::new();
        let lookup = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        parse(text, &mut variables, &lookup)?;
        Ok(variables)
    }

    fn value_of(text: &str) -> String {
        read(text).unwrap().remove("A").unwrap()
    }

    #[test]
    fn quotations_comments_and_escapes_are_understood() {
        assert_eq!(value_of("A=1 # one"), "1");
        assert_eq!(value_of("A=1#one"), "1#one");
        assert_eq!(value_of("export A='$HOME \\n'"), "$HOME \\n");
        assert_eq!(value_of("A=\"x\\ny $HOME \\$HOME\""), "x\ny /home/me $HOME");
        assert_eq!(value_of("A: x\r\n"), "x");
        assert_eq!(value_of("B=2\nA=${B}${C:-3}"), "23");
        assert_eq!(value_of("A=\"two\nlines\""), "two\nlines");
    }

    #[test]
    fn what_is_perhaps_not_meant_is_told() {
        let doubts = |text: &str| {
            let found = parse(text, &mut Variables::new(), &|_| None).unwrap();
            found.iter().map(|doubt| doubt.line).collect::<Vec<_>>()
        };
        assert_eq!(doubts("A='$b'\nB=\"x$y\"\nC=${D:-1}\n"), [2]);
        assert_eq!(doubts("A= # why\nB=#fff\nC= a # why\n"), [1]);
        assert_eq!(doubts("A=1\n=2\n"), [2]);
    }

    #[test]
    fn a_name_alone_is_inherited_or_absent() {
        assert_eq!(read("HOME\nNOTHING\n").unwrap().len(), 1);
    }

    #[test]
    fn mistakes_name_their_line() {
        assert_eq!(read("A=1\nB C=2\n").unwrap_err().line, 2);
        assert_eq!(read("A=1\n\nB='open\n").unwrap_err().line, 3);
        assert_eq!(read("A=1\n?=2\n").unwrap_err().line, 2);
        assert_eq!(read("A=1\n\0B=2\n").unwrap_err().line, 2);
    }
}
