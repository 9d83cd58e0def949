//! An instruction's line taken apart: keyword, flags, words, pairs, JSON lists.

use super::mistake::Mistake;

/// A line in its three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// The first word, as written.
    pub(super) keyword: String,
    /// The words that begin with `--` after it.
    pub(super) flags: Vec<String>,
    /// What follows.
    pub(super) rest: String,
}

const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Splits a line.
pub(super) fn command(line: &str) -> Split {
    let line = line.trim();
    let Some((keyword, rest)) = line.split_once(BLANKS) else {
        return Split {
            keyword: line.to_owned(),
            flags: Vec::new(),
            rest: String::new(),
        };
    };
    let (flags, rest) = leading_flags(rest.trim_start_matches(BLANKS));
    Split {
        keyword: keyword.to_owned(),
        flags,
        rest: rest.trim().to_owned(),
    }
}

/// Takes the flags in front of a text off; quotes and backslashes in them are removed.
fn leading_flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, after) = flag_word(rest);
        rest = after;
        if word == "--" {
            return (flags, rest);
        }
        flags.push(word);
    }
}

fn flag_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => return (word, &text[at..]),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, '\\') => word.extend(chars.next().map(|(_, next)| next)),
            (_, c) => word.push(c),
        }
    }
    (word, "")
}

/// Splits at white space.
pub(super) fn blanks(rest: &str) -> Vec<String> {
    let words = rest.split(BLANKS).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Splits at white space outside quotes; quotes and escapes stay in the words.
pub(super) fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (open, c) if c == escape && open != Some('\'') => {
                if let Some(next) = chars.next() {
                    word.push(c);
                    word.push(next);
                }
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                word.push(c);
            }
            (Some(open), c) if c == open => {
                quote = None;
                word.push(c);
            }
            (_, c) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The pairs of an `ENV` or `LABEL`: `(name, value, whether "=" stood between)`.
pub(super) fn pairs(
    rest: &str,
    keyword: &str,
    escape: char,
) -> Result<Vec<(String, String, bool)>, Mistake> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let Some((name, value)) = rest.split_once(BLANKS) else {
            let hint = format!("write `{keyword} {rest}=value`");
            let message = format!("{keyword} must have two arguments");
            return Err(Mistake::new(message).with_hint(Some(hint)));
        };
        let value = value.trim_start_matches(BLANKS);
        return Ok(vec![(name.to_owned(), value.to_owned(), false)]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned(), true)),
        None => Err(Mistake::new(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        ))),
    };
    words.iter().map(pair).collect()
}

/// Says whether a text is a JSON list of strings.
pub(super) fn is_json(rest: &str) -> bool {
    matches!(json(rest), Ok(Some(_)))
}

/// Reads a JSON list of strings; nothing where the text is no JSON list.
pub(super) fn json(rest: &str) -> Result<Option<Vec<String>>, Mistake> {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok(None);
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(Mistake::new(
            "when using JSON array syntax, arrays must be comprised of strings only",
        )),
    };
    values
        .into_iter()
        .map(text)
        .collect::<Result<_, _>>()
        .map(Some)
}
