//! The checker: a tree against the table, every mistake with its place.

use std::collections::BTreeSet;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::plain;
use crate::compose::schema::shape::{List, Mapping, Number, Shape, Text};
use crate::compose::suggest::nearest;
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
                return check_list(items, list, key, faults);
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
    let kind = node.value.kind();
    let message = if node.is_null() {
        format!("`{key}` has no value")
    } else {
        format!("`{key}` cannot be {kind}")
    };
    let fault =
        Diagnostic::error(node.span, message).expected(format!("expected {}", shape.describe()));
    let only_quotes_missing = shape.text.is_some_and(|text| matches!(text, Text::Any))
        && matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
    let split_by_colon =
        shape.list.is_some_and(|list| list.item.text.is_some()) || shape.text.is_some();
    match &node.value {
        _ if only_quotes_missing => fault.hint(format!(
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
            fault.hint("begin the line with `- ` to make it an element of a list")
        }
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
                let near = nearest(text, words.iter().copied());
                faults.push(fault.maybe_hint(near.map(|word| format!("did you mean `{word}`?"))));
            }
        }
        Text::Match(matcher) => {
            if !(matcher.accepts)(text) {
                let fault = Diagnostic::error(node.span, format!("`{key}` cannot be `{text}`"));
                faults.push(fault.expected(format!("expected {}", matcher.expected)));
            }
        }
    }
}

fn check_list(items: &[Node], list: &List, key: &str, faults: &mut Vec<Diagnostic>) {
    for item in items {
        check(item, &list.item, key, faults);
    }
    if !list.unique {
        return;
    }
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(plain(item).to_string()) {
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
            faults.push(unknown_key(name, entry, mapping, key));
        }
    }
    for required in mapping.required {
        if !map.contains_key(*required) {
            let fault = Diagnostic::error(node.span, format!("`{key}` lacks `{required}`"));
            faults.push(fault.hint(format!("add `{required}:`")));
        }
    }
}

fn unknown_key(name: &str, entry: &Entry, mapping: &Mapping, key: &str) -> Diagnostic {
    if let Some(named) = mapping.named {
        return Diagnostic::error(entry.key, format!("`{name}` is no valid name in `{key}`"))
            .expected(format!("expected {}", named.names.expected));
    }
    let message = match key {
        "" => format!("`{name}` is no key of a Compose file"),
        _ => format!("`{name}` is no key of `{key}`"),
    };
    let near = nearest(name, mapping.keys.iter().map(|(known, _)| *known));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if mapping.extensions => format!("to keep it for another tool, name it `x-{name}`"),
        None => {
            let keys: Vec<&str> = mapping.keys.iter().map(|(known, _)| *known).collect();
            format!("the keys here are `{}`", keys.join("`, `"))
        }
    };
    Diagnostic::error(entry.key, message).hint(hint)
}
