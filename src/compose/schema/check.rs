//! The checker: a tree against the table, every mistake with its place.

use std::collections::BTreeSet;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::plain;
use crate::compose::schema::shape::{List, Mapping, Number, Shape, Text};
use crate::compose::suggest::suggestion;
use crate::compose::tree::{Entry, Map, Node, Value};

/// The keys whose values are times, which need a unit.
const TIMES: [&str; 11] = [
    "interval",
    "timeout",
    "start_period",
    "start_interval",
    "stop_grace_period",
    "delay",
    "window",
    "monitor",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "pull_refresh_after",
];

/// The keys of a project that are often put one level too deep.
const SECTIONS: [&str; 5] = ["volumes", "networks", "secrets", "configs", "models"];

/// Checks a value against its shape; `key` names it in messages.
pub(crate) fn check(node: &Node, shape: &Shape, key: &str, faults: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Map(map) => {
            if let Some(mapping) = shape.map {
                return check_map(node, map, mapping, key, faults);
            }
        }
        Value::List(items) => {
            if let Some(list) = shape.list {
                return check_list(items, list, (key, shape), faults);
            }
        }
        Value::Text(text) => {
            if let Some(rule) = shape.text {
                return check_text(node, text, rule, key, faults);
            }
        }
        Value::Int(number) => {
            if let Some(rule) = shape.number {
                return check_range(node, *number, rule, key, faults);
            }
        }
        Value::Float(number) => {
            let fits = |rule: &Number| !rule.whole || number.fract() == 0.0;
            if let Some(rule) = shape.number.filter(fits) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "what is beyond all ranges stays beyond them"
                )]
                return check_range(node, *number as i128, rule, key, faults);
            }
        }
        Value::Bool(_) if shape.boolean => return,
        Value::Null if shape.null => return,
        Value::Bool(_) | Value::Null => {}
    }
    faults.push(wrong_kind(node, shape, key));
}

/// Returns the key and the value of a mapping that has only one.
fn single(node: &Node) -> Option<(&str, &Node)> {
    let mut entries = node.as_map()?.iter();
    let (key, entry) = entries.next()?;
    entries.next().is_none().then_some((key, &entry.node))
}

/// Says what to do about `- key: value` in a list that could be a mapping.
fn pair_in_list((name, value): (&str, &Node)) -> String {
    match &value.value {
        Value::Map(_) | Value::List(_) => {
            "leave out the `- `: with values of their own, these are keys".to_owned()
        }
        Value::Null => format!("write `- {name}`, or leave out the `- ` before every line"),
        scalar @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_)) => {
            let value = scalar.to_plain();
            format!("write `- {name}={value}`, or leave out the `- ` before every line")
        }
    }
}

/// Says how to make a list of a string.
fn as_list(text: &str) -> String {
    if text.starts_with('-') {
        return "put a space behind the `-`".to_owned();
    }
    let is_plain = !text.contains(['\n', ',', '[', ']', '{', '}', '"', '\'', ':', '#', ' ', '=']);
    if is_plain {
        format!("make it a list: `[{text}]`")
    } else {
        "begin the line with `- ` to make it an element of a list".to_owned()
    }
}

fn wrong_kind(node: &Node, shape: &Shape, key: &str) -> Diagnostic {
    let kind = node.value.kind();
    let message = if node.is_null() {
        format!("`{key}` has no value")
    } else {
        format!("`{key}` cannot be {kind}")
    };
    let fault =
        Diagnostic::error(node.span, message).expected(format!("expected {}", shape.describe()));
    let belongs_to_service = shape
        .map
        .is_some_and(|mapping| mapping.keys.iter().any(|(known, _)| *known == key));
    if belongs_to_service {
        return fault.hint(format!(
            "if `{key}` belongs to what is above it, indent it further"
        ));
    }
    let only_quotes_missing = shape.text.is_some_and(|text| matches!(text, Text::Any))
        && matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
    let split_by_colon =
        shape.list.is_some_and(|list| list.item.text.is_some()) || shape.text.is_some();
    let is_time = TIMES.contains(&key);
    match &node.value {
        Value::Int(_) | Value::Float(_) if is_time => {
            fault.hint(format!("add a unit: `{}s`", node.value.to_plain()))
        }
        _ if only_quotes_missing && !shape.boolean => fault.hint(format!(
            "put it in quotation marks: \"{}\"",
            node.value.to_plain()
        )),
        Value::Map(map) if split_by_colon && map.len() == 1 => {
            let name = map.keys().next().map_or("", String::as_str);
            fault.hint(format!(
                "if `{name}: …` is meant as one string, put it in quotation marks"
            ))
        }
        Value::Text(_) if shape.list.is_some() && shape.text.is_none() => {
            fault.hint(as_list(node.as_text().unwrap_or_default()))
        }
        Value::Map(_) if shape.list.is_some() && !split_by_colon => {
            fault.hint("begin with `- ` to make it an element of a list")
        }
        Value::Null if shape.map.is_some() && !shape.null => fault.hint(format!(
            "what belongs to `{key}` stands below it and is indented further"
        )),
        Value::List(_) if shape.map.is_some() => {
            fault.hint("write `key: value` without the leading `- `")
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => fault,
    }
}

fn check_range(node: &Node, number: i128, rule: Number, key: &str, faults: &mut Vec<Diagnostic>) {
    let Some((low, high)) = rule.range else {
        return;
    };
    if number < i128::from(low) {
        let fault = Diagnostic::error(node.span, format!("`{key}` is too small"));
        faults.push(fault.expected(format!("expected at least {low}")));
    } else if number > i128::from(high) {
        let fault = Diagnostic::error(node.span, format!("`{key}` is too large"));
        faults.push(fault.expected(format!("expected at most {high}")));
    }
}

fn check_text(node: &Node, text: &str, rule: Text, key: &str, faults: &mut Vec<Diagnostic>) {
    match rule {
        Text::Any => {}
        Text::OneOf(words) => {
            if !words.contains(&text) {
                let fault = Diagnostic::error(node.span, format!("`{key}` cannot be `{text}`"))
                    .expected(format!("expected `{}`", words.join("`, `")));
                let near = suggestion(text, words.iter().copied(), faults);
                faults.push(fault.maybe_hint(near.map(|word| format!("did you mean `{word}`?"))));
            }
        }
        Text::Match(matcher) => {
            if !(matcher.accepts)(text) {
                let fault = Diagnostic::error(node.span, format!("`{key}` cannot be `{text}`"))
                    .expected(format!("expected {}", matcher.expected));
                // What people are told in backticks are the words that could be meant.
                let words = matcher.expected.split('`').skip(1).step_by(2);
                let words = words.filter(|word| word.chars().all(char::is_alphabetic));
                let near = suggestion(text, words, faults);
                faults.push(fault.maybe_hint(near.map(|word| format!("did you mean `{word}`?"))));
            }
        }
    }
}

fn check_list(
    items: &[Node],
    list: &List,
    (key, shape): (&str, &Shape),
    faults: &mut Vec<Diagnostic>,
) {
    for item in items {
        let before = faults.len();
        check(item, &list.item, key, faults);
        if let (Some(fault), Some(pair), Some(_)) =
            (faults[before..].first_mut(), single(item), shape.map)
            && fault.span == item.span
        {
            fault.hint = Some(pair_in_list(pair));
        }
    }
    if !list.unique {
        return;
    }
    for item in repeated(items) {
        let shown = match &item.value {
            Value::Map(_) | Value::List(_) => "the same entry".to_owned(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                format!("`{}`", item.value.to_plain())
            }
        };
        let fault = Diagnostic::error(item.span, format!("`{key}` has {shown} twice"));
        faults.push(fault.hint("remove one of them"));
    }
}

/// The longest list whose elements are compared with each other.
const SHORT_LIST: usize = 32;

/// Returns the elements that are there before.
fn repeated(items: &[Node]) -> Vec<&Node> {
    if items.len() <= SHORT_LIST {
        let numbered = items.iter().enumerate();
        let repeated =
            numbered.filter(|(index, item)| items[..*index].iter().any(|other| same(item, other)));
        return repeated.map(|(_, item)| item).collect();
    }
    let mut seen = BTreeSet::new();
    let repeated = items
        .iter()
        .filter(|item| !seen.insert(plain(item).to_string()));
    repeated.collect()
}

/// Returns whether two values are the same, wherever they are written.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, one), (other_key, other))| {
                        key == other_key && same(&one.node, &other.node)
                    })
        }
        _ => plain(one) == plain(other),
    }
}

fn check_map(
    node: &Node,
    map: &Map,
    mapping: &'static Mapping,
    key: &str,
    faults: &mut Vec<Diagnostic>,
) {
    for (name, entry) in map {
        let known = mapping.keys.iter().find(|(known, _)| known == name);
        if let Some((_, shape)) = known {
            check(&entry.node, shape, name, faults);
        } else if mapping.extensions && name.starts_with("x-") || name.starts_with('\0') {
            // Kept for others, or by the loader itself: no file can spell the second.
        } else if let Some(named) = mapping.named.filter(|named| (named.names.accepts)(name)) {
            check(&entry.node, &named.value, name, faults);
        } else if mapping.closed {
            let fault = unknown_key((name, entry), mapping, key, faults);
            faults.push(fault);
        }
    }
    for required in mapping.required {
        if !map.contains_key(*required) {
            let fault = Diagnostic::error(node.span, format!("`{key}` lacks `{required}`"));
            faults.push(fault.hint(format!("add `{required}:`")));
        }
    }
}

fn unknown_key(
    (name, entry): (&str, &Entry),
    mapping: &Mapping,
    key: &str,
    faults: &[Diagnostic],
) -> Diagnostic {
    if let Some(named) = mapping.named {
        return Diagnostic::error(entry.key, format!("`{name}` is no valid name in `{key}`"))
            .expected(format!("expected {}", named.names.expected));
    }
    let message = match key {
        "" => format!("`{name}` is no key of a Compose file"),
        _ => format!("`{name}` is no key of `{key}`"),
    };
    let near = suggestion(name, mapping.keys.iter().map(|(known, _)| *known), faults);
    let has_image = |node: &Node| node.get("image").is_some() || node.get("build").is_some();
    let misplaced =
        SECTIONS.contains(&key) && mapping.keys.iter().any(|(known, _)| *known == "image");
    let hint = match near {
        _ if name
            .starts_with(|c: char| !c.is_ascii() && (c.is_whitespace() || c == '\u{feff}')) =>
        {
            "it begins with a character that only looks like a space: write spaces".to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None if key.is_empty() && has_image(&entry.node) => {
            "a service stands below `services:`, indented further".to_owned()
        }
        None if misplaced => {
            format!("if `{key}` is not meant as a service, move it to the left, beside `services:`")
        }
        None if mapping.extensions => format!("to keep it for another tool, name it `x-{name}`"),
        None => {
            let keys: Vec<&str> = mapping.keys.iter().map(|(known, _)| *known).collect();
            format!("the keys here are `{}`", keys.join("`, `"))
        }
    };
    Diagnostic::error(entry.key, message).hint(hint)
}
