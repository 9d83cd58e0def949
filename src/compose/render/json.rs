//! JSON as Docker Compose writes it: two spaces, `<`, `>` and `&` as `\u003c` and so on.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::compose::render::number::in_json;

/// Writes JSON on several lines, without a line break at the end.
pub fn pretty(value: &Json) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(0));
    out
}

/// Writes JSON on one line without blanks.
pub fn compact(value: &Json) -> String {
    let mut out = String::new();
    write(&mut out, value, None);
    out
}

/// Writes a value; `depth` is the depth of indentation, if there is any.
fn write(out: &mut String, value: &Json, depth: Option<usize>) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&in_json(number)),
        Json::String(text) => write_text(out, text),
        Json::Array(items) if items.is_empty() => out.push_str("[]"),
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index, depth);
                write(out, item, depth.map(|depth| depth + 1));
            }
            break_line(out, depth);
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                separate(out, index, depth);
                write_text(out, key);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(out, item, depth.map(|depth| depth + 1));
            }
            break_line(out, depth);
            out.push('}');
        }
    }
}

fn separate(out: &mut String, index: usize, depth: Option<usize>) {
    if index > 0 {
        out.push(',');
    }
    break_line(out, depth.map(|depth| depth + 1));
}

fn break_line(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
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

    #[test]
    fn html_is_escaped_and_empty_things_stay_on_one_line() {
        let value = serde_json::json!({ "a": "<&>\u{1}\"", "b": [], "c": {}, "d": [1, null] });
        let expected = "{\n  \"a\": \"\\u003c\\u0026\\u003e\\u0001\\\"\",\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    null\n  ]\n}";
        assert_eq!(pretty(&value), expected);
        assert_eq!(compact(&value["d"]), "[1,null]");
    }
}
