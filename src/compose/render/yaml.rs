//! YAML laid out as Docker Compose's YAML library does it: two blanks a level, nothing folded.

use serde_json::{Map, Value as Json};

use crate::compose::render::number::in_yaml;
use crate::compose::render::scalar::{Style, style_of, style_of_key, write_line};

/// Writes data as a YAML document.
pub fn to_yaml(value: &Json) -> String {
    let mut out = String::new();
    match value {
        Json::Object(map) if !map.is_empty() => write_entries(&mut out, map, 0),
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

/// Writes the entries of a map, each on lines of its own.
pub(super) fn write_entries(out: &mut String, map: &Map<String, Json>, depth: usize) {
    for (key, value) in map {
        write_entry(out, key, value, depth);
    }
}

/// Writes one entry of a map on lines of its own.
pub(super) fn write_entry(out: &mut String, key: &str, value: &Json, depth: usize) {
    indent(out, depth);
    write_key(out, key, depth);
    write_value(out, value, depth);
}

/// Writes what follows a key and its colon.
fn write_value(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_entries(out, map, depth + 1);
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
            Json::Object(map) if !map.is_empty() => write_item(out, map, depth + 1),
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

/// Writes a map whose first entry stands behind the dash of a list.
fn write_item(out: &mut String, map: &Map<String, Json>, depth: usize) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            indent(out, depth);
        }
        write_key(out, key, depth);
        write_value(out, value, depth);
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// The longest key that stands before its colon on one line.
const KEY_LIMIT: usize = 128;

/// What YAML 1.1 takes for the end of a line.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

fn write_key(out: &mut String, key: &str, depth: usize) {
    let style = style_of_key(key);
    if key.len() <= KEY_LIMIT && !key.contains(BREAKS) {
        write_line(out, key, style);
        out.push(':');
        return;
    }
    out.push_str("? ");
    write_text(out, key, depth + 1);
    out.push('\n');
    indent(out, depth);
    out.push(':');
}

fn write_scalar(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&in_yaml(number)),
        Json::String(text) => write_text(out, text, depth),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
    }
}

fn write_text(out: &mut String, text: &str, depth: usize) {
    match style_of(text) {
        Style::Literal => write_block(out, text, depth),
        style @ (Style::Plain | Style::Single | Style::Double) => write_line(out, text, style),
    }
}

fn write_block(out: &mut String, text: &str, depth: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    out.push_str(match text.len() - text.trim_end_matches('\n').len() {
        0 => "-",
        1 if text.len() > 1 => "",
        _ => "+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
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
