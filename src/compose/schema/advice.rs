//! What to do about a mistake that the checker found: what people mostly meant when they wrote it.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::service::SERVICE;
use crate::compose::schema::shape::{List, Mapping, Shape, Text};
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

/// Tells whether a mapping has a key of this name.
fn knows(mapping: &Mapping, name: &str) -> bool {
    mapping.keys.iter().any(|(known, _)| *known == name)
}

/// Tells whether services have a key of this name.
fn is_of_service(name: &str) -> bool {
    SERVICE.map.is_some_and(|service| knows(service, name))
}

/// Tells whether a mapping is that of services.
fn is_service(mapping: &Mapping) -> bool {
    knows(mapping, "container_name")
}

/// Advises on a value of a kind that cannot stand there.
pub(super) fn of_kind(node: &Node, shape: &Shape, key: &str) -> Option<String> {
    if shape.map.is_some_and(|mapping| knows(mapping, key)) {
        let hint = format!("if `{key}` belongs to what is above it, indent it further");
        return Some(hint);
    }
    match &node.value {
        Value::Int(_) | Value::Float(_) if TIMES.contains(&key) => {
            Some(format!("add a unit: `{}s`", node.value.to_plain()))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => of_plain(node, shape),
        Value::Text(text) => of_text(text, shape),
        Value::Map(map) => of_map(map, shape),
        Value::List(items) => shape.map.map(|mapping| of_list(items, mapping)),
        Value::Null => of_nothing(shape, key),
    }
}

fn of_plain(node: &Node, shape: &Shape) -> Option<String> {
    let value = node.value.to_plain();
    let takes_text = shape.text.is_some_and(|text| matches!(text, Text::Any));
    if takes_text && !shape.boolean && shape.number.is_none() {
        return Some(format!("put it in quotation marks: \"{value}\""));
    }
    let is_number = matches!(node.value, Value::Int(_) | Value::Float(_));
    let takes_list = shape.list.is_some() && shape.map.is_none();
    let counted = shape.list.and_then(|list| list.item.map);
    if counted.is_some_and(|item| is_number && knows(item, "count")) {
        return Some(format!(
            "write `- count: {value}` on a line below it, or `all`"
        ));
    }
    (takes_list && is_number).then(|| format!("make it a list: `[{value}]`"))
}

fn of_text(text: &str, shape: &Shape) -> Option<String> {
    if shape.list.is_some() {
        return shape.text.is_none().then(|| as_list(text));
    }
    let mapping = shape.map?;
    let is_word = |text: &str| !text.is_empty() && !text.contains([' ', '\n', '/']);
    if let Some((name, value)) = text.split_once(':')
        && is_word(name)
        && !value.is_empty()
        && !value.starts_with(['/', ' '])
    {
        return Some(format!("put a space behind the `:`: `{name}: …`"));
    }
    if text.contains('=') {
        return Some("write `name: value`, each on a line of its own".to_owned());
    }
    if is_service(mapping) && !text.contains([' ', '\n']) {
        return Some(format!(
            "if this is its image, write `image: {text}` below it"
        ));
    }
    (knows(mapping, "driver_opts") && text.contains('/')).then(|| {
        format!("a path is mounted in the service itself: `{text}:/where/in/the/container`")
    })
}

/// Says how to make a list of a string.
fn as_list(text: &str) -> String {
    if text.starts_with('-') {
        return "put a space behind the `-`".to_owned();
    }
    if text.contains(" - ") {
        return "begin every line below it with `- `".to_owned();
    }
    let is_plain = !text.contains(['\n', ',', '[', ']', '{', '}', '"', '\'', ':', '#', ' ', '=']);
    if is_plain {
        format!("make it a list: `[{text}]`")
    } else {
        "put it on a line of its own that begins with `- `".to_owned()
    }
}

fn of_map(map: &Map, shape: &Shape) -> Option<String> {
    let is_element = |list: &List| {
        let item = list.item.map;
        item.is_some_and(|item| map.keys().any(|key| knows(item, key)))
    };
    if shape.list.is_some_and(is_element) {
        return Some("begin with `- ` to make it an element of a list".to_owned());
    }
    let split_by_colon =
        shape.list.is_some_and(|list| list.item.text.is_some()) || shape.text.is_some();
    if split_by_colon && map.len() == 1 {
        let name = map.keys().next().map_or("", String::as_str);
        return Some(format!(
            "if `{name}: …` is meant as one string, put it in quotation marks"
        ));
    }
    let takes_list = shape.list.is_some() && !split_by_colon;
    takes_list.then(|| "begin with `- ` to make it an element of a list".to_owned())
}

fn of_list(items: &[Node], mapping: &Mapping) -> String {
    let first = items.first();
    match first.map(|item| &item.value) {
        Some(Value::Text(name)) if mapping.named.is_some() && !name.contains([':', '=']) => {
            format!("write `{name}:` instead of `- {name}`")
        }
        Some(Value::Map(map)) if mapping.named.is_some() && map.contains_key("target") => {
            "what is mounted stands below a service; here stand names, such as `data:`".to_owned()
        }
        _ => "write `key: value` without the leading `- `".to_owned(),
    }
}

fn of_nothing(shape: &Shape, key: &str) -> Option<String> {
    if shape.null {
        return None;
    }
    let below = "stands below it and is indented further";
    match (shape.map, shape.list) {
        (Some(mapping), _) if is_service(mapping) || key == "services" => {
            Some(format!("what belongs to `{key}` {below}"))
        }
        (Some(_), _) => Some(format!(
            "what belongs to `{key}` {below}; if nothing does, remove the line"
        )),
        (None, Some(_)) => {
            Some("write elements below it, each after `- `, or remove the line".to_owned())
        }
        (None, None) => None,
    }
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

/// Improves on what was found in an element of a list, from `before` on.
pub(super) fn in_list(
    (items, index): (&[Node], usize),
    list: &List,
    (key, shape): (&str, &Shape),
    faults: &mut Vec<Diagnostic>,
    before: usize,
) {
    let item = &items[index];
    if faults.len() == before {
        return;
    }
    if let Some(fault) = split_by_a_space(item, list, key) {
        faults.truncate(before);
        return faults.push(fault);
    }
    let hint = match (&item.value, single(item)) {
        (Value::Null, _) => Some("write a value behind the `-`, or remove the line".to_owned()),
        (Value::List(_), _) if list.item.list.is_none() => Some(
            "YAML does not join lists: write the elements of the inner one here, one by one"
                .to_owned(),
        ),
        (_, Some(pair)) if shape.map.is_some() => Some(pair_in_list(pair)),
        _ => None,
    };
    let missing = items
        .get(index + 1)
        .and_then(|next| torn_off(item, next, list));
    for fault in &mut faults[before..] {
        if fault.span != item.span {
            continue;
        }
        if let Some(hint) = &hint {
            fault.hint = Some(hint.clone());
            break;
        }
        if let Some(missing) = missing {
            fault.hint = Some(format!("leave out the `- ` before `{missing}:`"));
        }
    }
}

/// The lists whose elements have colons in their short form.
const WITH_COLONS: [&str; 3] = ["volumes", "ports", "devices"];

/// Finds the pair that a space behind the colon of a short form makes.
fn split_by_a_space(item: &Node, list: &List, key: &str) -> Option<Diagnostic> {
    let (name, value) = single(item)?;
    let short = WITH_COLONS.contains(&key) && list.item.map.is_some_and(|map| !knows(map, name));
    let value = match &value.value {
        Value::Text(_) | Value::Int(_) => value.value.to_plain(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            return None;
        }
    };
    short.then(|| {
        Diagnostic::error(
            item.span,
            format!("`{name}: {value}` is no element of `{key}`"),
        )
        .expected(format!("expected {}", list.item.describe()))
        .hint(format!("remove the space behind the `:`: `{name}:{value}`"))
    })
}

/// Returns what an element lacks because the next one begins with it.
fn torn_off(item: &Node, next: &Node, list: &List) -> Option<&'static str> {
    let (item, next) = (item.as_map()?, next.as_map()?);
    let is_apart = next.keys().all(|key| !item.contains_key(key));
    let mut required = list.item.map?.required.iter().copied();
    let missing = required.find(|key| !item.contains_key(*key) && next.contains_key(*key));
    missing.filter(|_| is_apart)
}

/// How the message about a file of something else ends.
const END: &str = "is no key of a Compose file, and no other key here is one";

/// Recognizes a file of something else: one mistake instead of one for each key.
pub(super) fn of_another_file(
    map: &Map,
    mapping: &Mapping,
    faults: &[Diagnostic],
) -> Option<Diagnostic> {
    let words = mapping.keys.iter().map(|(known, _)| *known);
    let is_ours = |(name, entry): (&String, &Entry)| {
        knows(mapping, name)
            || name.starts_with("x-")
            || name.starts_with('\0')
            || is_of_service(name)
            || looks_like_service(&entry.node)
            || suggestion(name, words.clone(), faults).is_some()
    };
    let of_kubernetes = map.contains_key("apiVersion") && map.contains_key("kind");
    if map.len() < 2 || !of_kubernetes && map.iter().any(is_ours) {
        return None;
    }
    if let Some(told) = faults.iter().find(|fault| fault.message.ends_with(END)) {
        // An earlier document of the file is like this one.
        return Some(told.clone());
    }
    let (name, entry) = map.iter().min_by_key(|(_, entry)| entry.key)?;
    let message = format!("`{name}` {END}");
    Some(
        Diagnostic::error(entry.key, message).hint(if of_kubernetes {
            "this is a file for Kubernetes"
        } else {
            "is it the right file? A Compose file begins with `services:`"
        }),
    )
}

fn looks_like_service(node: &Node) -> bool {
    let Some(map) = node.as_map() else {
        return false;
    };
    map.contains_key("image")
        || map.contains_key("build")
        || !map.is_empty() && map.keys().all(|key| is_of_service(key))
}

/// Advises on a name that its mapping does not allow.
pub(super) fn of_name(name: &str) -> Option<String> {
    name.contains('$').then(|| {
        format!(
            "no variable is filled into a key: choose a name, and write `name: {name}` below it"
        )
    })
}

/// Tells whether a key begins with something that is seen as a space.
pub(super) fn begins_oddly(name: &str) -> bool {
    name.starts_with(|c: char| !c.is_ascii() && (c.is_whitespace() || c == '\u{feff}'))
}

/// Advises on a key that nothing here is called like.
pub(super) fn of_unknown(
    (name, entry): (&str, &Entry),
    mapping: &'static Mapping,
    key: &str,
) -> String {
    if begins_oddly(name) {
        return "it begins with a character that only looks like a space: write spaces".to_owned();
    }
    if key.is_empty() && looks_like_service(&entry.node) {
        return "a service stands below `services:`, indented further".to_owned();
    }
    if is_service(mapping) && SECTIONS.contains(&key) {
        return format!(
            "if `{key}` is not meant as a service, move it to the left, beside `services:`"
        );
    }
    if is_service(mapping) && is_of_service(key) {
        return format!("if `{key}` is not meant as a service, indent it further, below one");
    }
    if let Some(ways) = ways_to(mapping, name) {
        return format!("`{name}` stands below {}", ways.join(" or "));
    }
    if is_of_service(name) && !is_service(mapping) {
        let further = if key.is_empty() { "further" } else { "less" };
        return format!("`{name}` belongs to a service: indent it {further}");
    }
    if mapping.extensions {
        return format!("to keep it for another tool, name it `x-{name}`");
    }
    let keys: Vec<&str> = mapping.keys.iter().map(|(known, _)| *known).collect();
    format!("the keys here are `{}`", keys.join("`, `"))
}

/// How many places for a key are told.
const WAYS_LIMIT: usize = 2;

/// Says which keys lead to the few places, at most two levels deeper, that have a key of this name.
fn ways_to(mapping: &'static Mapping, name: &str) -> Option<Vec<String>> {
    let (maps, lists) = (ways(mapping, in_map), ways(mapping, in_elements));
    let far = maps.iter().flat_map(|(way, inner)| {
        let deeper = ways(inner, |shape| in_map(shape).or_else(|| in_elements(shape)));
        deeper
            .into_iter()
            .map(|(next, inner)| ([way.as_slice(), &next].concat(), inner))
    });
    let far = far.collect();
    let levels = [maps, lists, far].into_iter().map(|level| {
        let found = level.into_iter().filter(|(_, inner)| knows(inner, name));
        let shown = found.map(|(way, _)| format!("`{}:`", way.join(":` and `")));
        shown.collect::<Vec<_>>()
    });
    let mut levels = levels.filter(|ways| !ways.is_empty());
    levels.next().filter(|ways| ways.len() <= WAYS_LIMIT)
}

/// The keys that lead to a mapping.
type Way = (Vec<&'static str>, &'static Mapping);

fn ways(mapping: &Mapping, inner: impl Fn(&Shape) -> Option<&'static Mapping>) -> Vec<Way> {
    let keys = mapping.keys.iter();
    keys.filter_map(|(key, shape)| Some((vec![*key], inner(shape)?)))
        .collect()
}

fn in_map(shape: &Shape) -> Option<&'static Mapping> {
    shape.map
}

fn in_elements(shape: &Shape) -> Option<&'static Mapping> {
    shape.list.and_then(|list| list.item.map)
}
