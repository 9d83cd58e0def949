//! The checker: a tree against the table, every mistake with its place.

use std::collections::BTreeSet;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::plain;
use crate::compose::schema::advice;
use crate::compose::schema::shape::{List, Mapping, Number, Shape, Text};
use crate::compose::suggest::suggestion;
use crate::compose::tree::{Entry, Map, Node, Value};

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

fn wrong_kind(node: &Node, shape: &Shape, key: &str) -> Diagnostic {
    let message = if node.is_null() {
        format!("`{key}` has no value")
    } else {
        format!("`{key}` cannot be {}", node.value.kind())
    };
    Diagnostic::error(node.span, message)
        .expected(format!("expected {}", shape.describe()))
        .maybe_hint(advice::of_kind(node, shape, key))
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
    for (index, item) in items.iter().enumerate() {
        let before = faults.len();
        check(item, &list.item, key, faults);
        advice::in_list((items, index), list, (key, shape), faults, before);
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
    if key.is_empty()
        && let Some(fault) = advice::of_another_file(map, mapping, faults)
    {
        return faults.push(fault);
    }
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
            let fault = Diagnostic::missing(node.span, format!("`{key}` lacks `{required}`"));
            faults.push(fault.hint(format!("add `{required}:`")));
        }
    }
}

fn unknown_key(
    (name, entry): (&str, &Entry),
    mapping: &'static Mapping,
    key: &str,
    faults: &[Diagnostic],
) -> Diagnostic {
    if let Some(named) = mapping.named {
        return Diagnostic::error(entry.key, format!("`{name}` is no valid name in `{key}`"))
            .expected(format!("expected {}", named.names.expected))
            .maybe_hint(advice::of_name(name));
    }
    let message = match key {
        "" => format!("`{name}` is no key of a Compose file"),
        _ => format!("`{name}` is no key of `{key}`"),
    };
    let near = suggestion(name, mapping.keys.iter().map(|(known, _)| *known), faults);
    let hint = match near {
        Some(near) if !advice::begins_oddly(name) => format!("did you mean `{near}`?"),
        _ => advice::of_unknown((name, entry), mapping, key),
    };
    Diagnostic::error(entry.key, message).hint(hint)
}
