//! Words with variables in them into text, by the rules of Docker's little shell.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::pattern::{Pattern, TooSlow};

/// The longest text that an expansion may give.
const RESULT_LIMIT_BYTES: usize = 1 << 20;
/// How deep `${a:-${b:-…}}` may go.
const DEPTH_LIMIT: usize = 64;

/// Where variables come from.
pub(crate) trait Variables {
    /// Returns the value of a variable that is set.
    fn value(&self, name: &str) -> Option<&str>;
}

/// No variable is set.
pub(super) struct NoVariables;

impl Variables for NoVariables {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub(crate) struct WordError {
    word: String,
    reason: String,
}

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer {
    escape: char,
    quotes: Quotes,
    escapes: Escapes,
    unset: Unset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// They group and are removed.
    Removed,
    /// They group and stay.
    Kept,
    /// They are ordinary characters.
    Ordinary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unset {
    /// An unset variable is an empty text.
    Empty,
    /// An unset variable stays as it is written.
    Kept,
}

/// What a word became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The text.
    pub(crate) text: String,
    /// The variables that were asked for and are set.
    pub(crate) used: BTreeSet<String>,
    /// The variables that were asked for and are not set.
    pub(crate) missing: BTreeSet<String>,
}

impl Lexer {
    /// Reads arguments of instructions.
    pub(crate) fn new(escape: char) -> Self {
        Self {
            escape,
            quotes: Quotes::Removed,
            escapes: Escapes::Removed,
            unset: Unset::Empty,
        }
    }

    /// Reads the text of a heredoc: quotes mean nothing there.
    pub(crate) fn for_heredoc(escape: char) -> Self {
        Self {
            quotes: Quotes::Ordinary,
            ..Self::new(escape)
        }
    }

    /// Expands for people: quotes, escapes and unset variables stay.
    pub(crate) fn raw(escape: char) -> Self {
        Self {
            quotes: Quotes::Kept,
            escapes: Escapes::Kept,
            unset: Unset::Kept,
            escape,
        }
    }

    /// Removes quotes, but leaves unset variables.
    pub(super) fn keeping_unset(escape: char) -> Self {
        Self {
            unset: Unset::Kept,
            ..Self::new(escape)
        }
    }

    /// Expands a text into one word.
    pub(crate) fn expand(
        self,
        word: &str,
        variables: &dyn Variables,
    ) -> Result<Expansion, WordError> {
        self.run(word, variables).map(|(expansion, _)| expansion)
    }

    /// Expands a text and splits it at white space that is not quoted.
    pub(crate) fn words(
        self,
        text: &str,
        variables: &dyn Variables,
    ) -> Result<Vec<String>, WordError> {
        self.run(text, variables).map(|(_, words)| words)
    }

    fn run(
        self,
        text: &str,
        variables: &dyn Variables,
    ) -> Result<(Expansion, Vec<String>), WordError> {
        let mut reader = Reader {
            chars: text.chars().peekable(),
            lexer: self,
            variables,
            expansion: Expansion::default(),
            depth: 0,
        };
        let (result, words) = reader.until(None).map_err(|reason| WordError {
            word: text.chars().take(1024).collect(),
            reason,
        })?;
        let text = result;
        Ok((
            Expansion {
                text,
                ..reader.expansion
            },
            words.finish(),
        ))
    }
}

/// Words in the making.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: Option<String>,
}

impl Words {
    /// Adds a character that splits words where it is white space.
    fn add(&mut self, c: char) {
        if c.is_whitespace() {
            self.done.extend(self.word.take());
        } else {
            self.add_raw(c);
        }
    }

    fn add_raw(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn add_raw_text(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn finish(mut self) -> Vec<String> {
        self.done.extend(self.word.take());
        self.done
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    lexer: Lexer,
    variables: &'a dyn Variables,
    expansion: Expansion,
    depth: usize,
}

impl Reader<'_> {
    /// Reads up to a character, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Words), String> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.chars.peek().copied() {
            if result.len() > RESULT_LIMIT_BYTES {
                return Err("the result is longer than 1 MiB".to_owned());
            }
            match c {
                c if Some(c) == stop => {
                    self.chars.next();
                    return Ok((result, words));
                }
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.add(c));
                    result.push_str(&value);
                }
                '\'' | '"' if self.lexer.quotes != Quotes::Ordinary => {
                    let value = self.quoted(c)?;
                    words.add_raw_text(&value);
                    result.push_str(&value);
                }
                c => {
                    self.chars.next();
                    self.ordinary(c, &mut result, &mut words);
                }
            }
        }
        match stop {
            Some(stop) => Err(format!(
                "unexpected end of statement while looking for matching {stop}"
            )),
            None => Ok((result, words)),
        }
    }

    /// Adds a character; an escape makes the next one ordinary.
    fn ordinary(&mut self, c: char, result: &mut String, words: &mut Words) {
        if c != self.lexer.escape {
            words.add(c);
            result.push(c);
            return;
        }
        if self.lexer.escapes == Escapes::Kept {
            words.add_raw(c);
            result.push(c);
        }
        if let Some(next) = self.chars.next() {
            words.add_raw(next);
            result.push(next);
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut result = String::new();
        self.chars.next();
        if self.lexer.quotes == Quotes::Kept {
            result.push(quote);
        }
        loop {
            match self.chars.peek().copied() {
                None => return Err(unmatched(quote)),
                Some(c) if c == quote => {
                    self.chars.next();
                    if self.lexer.quotes == Quotes::Kept {
                        result.push(quote);
                    }
                    return Ok(result);
                }
                Some('$') if quote == '"' => result.push_str(&self.dollar()?),
                Some(c) if c == self.lexer.escape && quote == '"' => self.escaped(&mut result),
                Some(c) => {
                    self.chars.next();
                    result.push(c);
                }
            }
        }
    }

    /// An escape in double quotes only acts on `"`, `$` and itself.
    fn escaped(&mut self, result: &mut String) {
        let escape = self.lexer.escape;
        self.chars.next();
        match self.chars.peek().copied() {
            None => {}
            Some(next) if next == '"' || next == '$' || next == escape => {
                self.chars.next();
                if self.lexer.escapes == Escapes::Kept {
                    result.push(escape);
                }
                result.push(next);
            }
            Some(_) => result.push(escape),
        }
    }

    /// Reads what follows a `$`.
    fn dollar(&mut self) -> Result<String, String> {
        self.chars.next();
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.lookup(&name) {
                Some(value) => value,
                None => self.unset(|| format!("${name}")),
            });
        }
        self.chars.next();
        match self.chars.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("it is nested deeper than 64 times".to_owned());
        }
        let value = self.braced();
        self.depth -= 1;
        value
    }

    fn braced(&mut self) -> Result<String, String> {
        let name = self.name();
        let unsupported =
            |modifier: &str| Err(format!("unsupported modifier ({modifier}) in substitution"));
        match self.chars.next() {
            Some('}') => Ok(match self.lookup(&name) {
                Some(value) => value,
                None => self.unset(|| format!("${{{name}}}")),
            }),
            Some(':') => match self.chars.next() {
                Some(modifier @ ('+' | '-' | '?')) => {
                    self.conditional(&name, modifier, Null::Unset)
                }
                Some(other) => unsupported(&format!(":{other}")),
                None => unsupported(":"),
            },
            Some(modifier @ ('+' | '-' | '?')) => self.conditional(&name, modifier, Null::Set),
            Some(end @ ('#' | '%')) => self.stripped(&name, end),
            Some('/') => self.replaced(&name),
            Some(other) => unsupported(&other.to_string()),
            None => unsupported("end of text"),
        }
    }

    /// `${name:-word}` and its like.
    fn conditional(&mut self, name: &str, modifier: char, null: Null) -> Result<String, String> {
        let word = self.operand('}', self.lexer.escapes)?;
        let value = self.known(name);
        let colon = if null == Null::Unset { ":" } else { "" };
        if value.is_none() && self.lexer.unset == Unset::Kept {
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let counts = value
            .clone()
            .filter(|value| null == Null::Set || !value.is_empty());
        match (modifier, counts) {
            ('-', counts) => Ok(counts.unwrap_or(word)),
            ('+', counts) => Ok(counts.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let reason = match value {
                    Some(_) => "is not allowed to be empty",
                    None => "is not allowed to be unset",
                };
                let reason = if word.is_empty() { reason } else { &word };
                Err(format!("{name}: {reason}"))
            }
        }
    }

    /// `${name#pattern}`, `##`, `%`, `%%`.
    fn stripped(&mut self, name: &str, end: char) -> Result<String, String> {
        let word = self.operand('}', Escapes::Kept)?;
        let Some(value) = self.lookup(name) else {
            return Ok(self.unset(|| format!("${{{name}{end}{word}}}")));
        };
        let (word, longest) = match word.strip_prefix(end) {
            Some(word) => (word, true),
            None => (word.as_str(), false),
        };
        let pattern = Pattern::parse(word);
        let kept = match end {
            '#' => pattern.without_prefix(&value, longest),
            _ => pattern.without_suffix(&value, longest),
        };
        kept.map_err(|TooSlow| "the pattern takes too long to match".to_owned())
    }

    /// `${name/pattern/text}` and `${name//pattern/text}`.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let word = self.operand('/', Escapes::Kept)?;
        let text = self.operand('}', Escapes::Kept)?;
        let Some(value) = self.lookup(name) else {
            return Ok(self.unset(|| format!("${{{name}/{word}/{text}}}")));
        };
        let replaced = Pattern::parse(&word).replaced(&value, &text, all);
        replaced.map_err(|TooSlow| "the pattern takes too long to match".to_owned())
    }

    fn operand(&mut self, stop: char, escapes: Escapes) -> Result<String, String> {
        let before = std::mem::replace(&mut self.lexer.escapes, escapes);
        let read = self.until(Some(stop));
        self.lexer.escapes = before;
        match read {
            Ok((word, _)) => Ok(word),
            Err(_) if self.chars.peek().is_none() => Err(format!("syntax error: missing '{stop}'")),
            Err(reason) => Err(reason),
        }
    }

    /// Reads a name, a positional parameter or a special one.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().copied() {
            let is_first = name.is_empty();
            if is_first && c.is_numeric() {
                while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(digit);
                }
                return name;
            }
            if is_first && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
                self.chars.next();
                return c.to_string();
            }
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            self.chars.next();
            name.push(c);
        }
        name
    }

    /// Returns a variable's value and notes whether it is set.
    fn lookup(&mut self, name: &str) -> Option<String> {
        let value = self.known(name);
        if value.is_none() {
            self.expansion.missing.insert(name.to_owned());
        }
        value
    }

    /// Returns a variable's value where it does not matter if it is missing.
    fn known(&mut self, name: &str) -> Option<String> {
        let value = self.variables.value(name)?.to_owned();
        self.expansion.used.insert(name.to_owned());
        Some(value)
    }

    fn unset(&self, written: impl FnOnce() -> String) -> String {
        match self.lexer.unset {
            Unset::Empty => String::new(),
            Unset::Kept => written(),
        }
    }
}

/// What an empty value counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Set,
    Unset,
}

fn unmatched(quote: char) -> String {
    let name = if quote == '"' { "double" } else { "single" };
    format!("unexpected end of statement while looking for matching {name}-quote")
}
