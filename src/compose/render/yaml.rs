//! YAML that every reader understands alike: YAML 1.1 and 1.2.
//!
//! **Invariant:** a string that any reader could take for something else is quoted.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Writes data as a YAML document.
pub fn to_yaml(value: &Json) -> String {
    let mut out = String::new();
    match value {
        Json::Object(map) if !map.is_empty() => write_map(&mut out, map, 0),
        Json::Array(items) if !items.is_empty() => write_list(&mut out, items, 0),
        Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Array(_)
        | Json::Object(_) => {
            write_scalar(&mut out, value, 0);
            out.push('\n');
        }
    }
    out
}

fn write_map(out: &mut String, map: &serde_json::Map<String, Json>, depth: usize) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            indent(out, depth);
        }
        write_key(out, key);
        write_value(out, value, depth);
    }
}

/// Writes what follows a key and its colon.
fn write_value(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            out.push('\n');
            indent(out, depth + 1);
            write_map(out, map, depth + 1);
        }
        Json::Array(items) if !items.is_empty() => {
            out.push('\n');
            indent(out, depth + 1);
            write_list(out, items, depth + 1);
        }
        Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Array(_)
        | Json::Object(_) => {
            out.push(' ');
            write_scalar(out, value, depth + 1);
            out.push('\n');
        }
    }
}

fn write_list(out: &mut String, items: &[Json], depth: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Json::Object(map) if !map.is_empty() => write_map(out, map, depth + 1),
            Json::Array(inner) if !inner.is_empty() => write_list(out, inner, depth + 1),
            Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Array(_)
            | Json::Object(_) => {
                write_scalar(out, item, depth + 1);
                out.push('\n');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn write_key(out: &mut String, key: &str) {
    if is_plain(key) {
        out.push_str(key);
    } else {
        write_quoted(out, key);
    }
    out.push(':');
}

fn write_scalar(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) if is_plain(text) => out.push_str(text),
        Json::String(text) if is_block(text) => write_block(out, text, depth),
        Json::String(text) => write_quoted(out, text),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
    }
}

/// Words that some reader takes for a boolean or for nothing.
const WORDS: [&str; 11] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", "<<",
];

/// Returns whether a string can stand without quotation marks, for every reader.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let starts_like_a_number = first.is_ascii_digit() || matches!(first, '+' | '.');
    let starts_safely = first.is_alphanumeric() || matches!(first, '/' | '_' | '.' | '$' | '+');
    let word = text.to_ascii_lowercase();
    let safe = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '/' | '_'
                    | '.'
                    | '$'
                    | '-'
                    | '+'
                    | ' '
                    | '='
                    | '@'
                    | ','
                    | ':'
                    | '('
                    | ')'
                    | ';'
                    | '{'
                    | '}'
                    | '*'
                    | '?'
                    | '\''
                    | '~'
            )
    };
    starts_safely
        && text.chars().all(safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&word.as_str())
        && (!starts_like_a_number || !could_be_a_number(text))
}

/// Returns whether some reader could take a string for a number, a time or a date.
fn could_be_a_number(text: &str) -> bool {
    let rest = text.trim_start_matches(['+', '-']);
    let number_like = |c: char| {
        c.is_ascii_hexdigit() || matches!(c, '.' | '_' | ':' | '+' | '-' | 'x' | 'X' | 'o' | 'O')
    };
    let special = matches!(rest.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    let date = rest.len() >= 8
        && rest.bytes().take(4).all(|b| b.is_ascii_digit())
        && rest.as_bytes()[4] == b'-';
    special || date || (!rest.is_empty() && rest.chars().all(number_like))
}

/// Returns whether a string reads better, and safely, as a literal block.
fn is_block(text: &str) -> bool {
    let printable = |c: char| c == '\n' || c == '\t' || !c.is_control();
    let lines = text.contains('\n') && !text.starts_with([' ', '\n', '\t']);
    lines
        && text
            .chars()
            .all(|c| printable(c) && !matches!(c, '\u{feff}' | '\u{85}' | '\u{2028}' | '\u{2029}'))
        && !text.lines().any(|line| line.ends_with([' ', '\t']))
}

fn write_block(out: &mut String, text: &str, depth: usize) {
    let ending = match text.len() - text.trim_end_matches('\n').len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    };
    out.push_str(ending);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                // Writing to a string cannot fail.
                write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default();
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::model::plain;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({
            "plain": "nginx:1.27", "number": "10", "float": "1.5", "octal": "0440", "time": "12:30:45",
            "date": "2024-01-01", "word": "yes", "null": "null", "empty": "", "colon": "a: b",
            "hash": "a #b", "lines": "one\n two\n", "more": "one\n\n", "end": "no\nend", "tab": "\tx",
            "quote": "\"x\" 'y' \\", "list": ["a", {"b": [["c"]], "d": {}}, []], "on": true,
            "star": "*x", "dash": "- x", "path": "/a/b", "e": "1e3", "dots": "...", "sign": "-1",
        });
        let text = to_yaml(&value);
        let mut faults = Vec::new();
        let documents = crate::compose::yaml::parse(
            0,
            &text,
            &mut crate::compose::budget::Budget::default(),
            &mut faults,
        );
        assert_eq!(faults, [], "{text}");
        let mut expected = value;
        expected.sort_all_objects();
        assert_eq!(plain(&documents[0].root), expected, "{text}");
    }
}
