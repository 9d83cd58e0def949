//! The rules of merging: mappings by key, lists by appending, scalars by replacing, and the keys
//! that are different.
//!
//! **Invariant:** a value that loses is remembered by the one that wins, with its place.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Entry, Map, Node, Shadow, Span, Value};

/// How a key is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// By the kind of its value.
    Plain,
    /// The later value replaces the earlier one.
    Replace,
    /// Both become lists of `KEY=value`, one behind the other.
    Sequence,
    /// The same, without what is there already.
    Hosts,
    /// A string is a context.
    Build,
    /// A list is a mapping to dependencies.
    DependsOn,
    /// A list is a mapping to nothing.
    Names,
    /// Options of one driver are merged, another driver replaces them.
    Logging,
    /// Address ranges are the same when their subnet is.
    Ipam,
}

/// Returns the rule for a path of the whole project.
fn rule(path: &[&str]) -> Rule {
    match path {
        ["networks" | "volumes", _, "labels"] => Rule::Sequence,
        ["networks", _, "ipam", "config"] => Rule::Ipam,
        ["services", _, rest @ ..] => service_rule(rest),
        _ => Rule::Plain,
    }
}

fn service_rule(path: &[&str]) -> Rule {
    match path {
        [
            "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file"
            | "environment" | "labels" | "sysctls" | "tmpfs",
        ]
        | ["build", "args" | "additional_contexts" | "labels"]
        | ["deploy", "labels"]
        | ["volumes", _, "volume", "labels"] => Rule::Sequence,
        ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Hosts,
        ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
        ["build"] => Rule::Build,
        ["depends_on"] => Rule::DependsOn,
        ["models" | "networks"] => Rule::Names,
        ["logging"] => Rule::Logging,
        _ => Rule::Plain,
    }
}

/// Merges `later` over `earlier`.
pub(crate) fn merge(earlier: &mut Node, later: Node, faults: &mut Vec<Diagnostic>) {
    Merger {
        path: Vec::new(),
        faults,
    }
    .merge(earlier, later);
}

/// Merges a named resource, such as a service, over another one of its kind.
pub(crate) fn merge_resource(
    earlier: &mut Node,
    later: Node,
    (kind, name): (&str, &str),
    faults: &mut Vec<Diagnostic>,
) {
    let path = vec![kind.to_owned(), name.to_owned()];
    Merger { path, faults }.merge(earlier, later);
}

/// Merges a service over the one that it extends.
pub(crate) fn extend_service(base: &mut Node, service: Node, faults: &mut Vec<Diagnostic>) {
    let path = vec!["services".to_owned(), "x".to_owned()];
    // A service replaces the one that it extends: its own place is where it was written.
    let span = service.span;
    Merger { path, faults }.merge(base, service);
    base.span = span;
}

struct Merger<'a> {
    path: Vec<String>,
    faults: &'a mut Vec<Diagnostic>,
}

impl Merger<'_> {
    fn merge(&mut self, earlier: &mut Node, later: Node) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match rule(&path) {
            Rule::Plain => self.plain(earlier, later),
            Rule::Replace => replace(earlier, later),
            Rule::Sequence => {
                let mut list = into_sequence(earlier.take());
                list.extend(into_sequence_node(later, earlier));
                earlier.value = Value::List(list);
            }
            Rule::Hosts => {
                let mut list = into_sequence(earlier.take());
                let more = into_sequence_node(later, earlier);
                let new = |host: &Node| !list.iter().any(|known| known.value == host.value);
                let more: Vec<_> = more.into_iter().filter(new).collect();
                list.extend(more);
                earlier.value = Value::List(list);
            }
            Rule::Build => {
                *earlier = into_build(earlier.take());
                self.maps(earlier, into_build(later));
            }
            Rule::DependsOn => {
                *earlier = into_names(earlier.take(), &dependency);
                self.maps(earlier, into_names(later, &dependency));
            }
            Rule::Names => {
                *earlier = into_names(earlier.take(), &nothing);
                self.maps(earlier, into_names(later, &nothing));
            }
            Rule::Logging => self.logging(earlier, later),
            Rule::Ipam => self.ipam(earlier, later),
        }
    }

    fn plain(&mut self, earlier: &mut Node, later: Node) {
        match (&mut earlier.value, &later.value) {
            (_, Value::Null) => {}
            (Value::Map(_), Value::Map(_)) => self.maps(earlier, later),
            (Value::List(_), Value::List(_)) => {
                let span = later.span;
                if let (Value::List(list), Value::List(more)) = (&mut earlier.value, later.value) {
                    list.extend(more);
                    earlier.span = span;
                }
            }
            (Value::Map(_) | Value::List(_), _) => self.mismatch(earlier, &later),
            _ => replace(earlier, later),
        }
    }

    fn mismatch(&mut self, earlier: &Node, later: &Node) {
        let key = self.path.last().map_or("", String::as_str);
        let message = format!("`{key}` cannot be {} here", later.value.kind());
        let note = format!("it was {} here", earlier.value.kind());
        self.faults.push(
            Diagnostic::error(later.span, message)
                .expected(format!(
                    "expected {}, as in the value that this overrides",
                    earlier.value.kind()
                ))
                .note(earlier.span, note)
                .hint("write `!override` before the value to replace the earlier one"),
        );
    }

    /// Merges two mappings; other kinds of values replace each other.
    fn maps(&mut self, earlier: &mut Node, later: Node) {
        let span = later.span;
        let later = match (later.value, &earlier.value) {
            (Value::Map(later), Value::Map(_)) => later,
            (Value::Null, _) => return,
            (value, _) => {
                return replace(
                    earlier,
                    Node {
                        value,
                        span,
                        trace: later.trace,
                    },
                );
            }
        };
        let Some(map) = earlier.as_map_mut() else {
            return;
        };
        for (key, entry) in later {
            match map.get_mut(&key) {
                None => {
                    map.insert(key, entry);
                }
                Some(known) => {
                    self.path.push(key);
                    known.key = entry.key;
                    self.merge(&mut known.node, entry.node);
                    self.path.pop();
                }
            }
        }
        earlier.span = span;
    }

    fn logging(&mut self, earlier: &mut Node, later: Node) {
        let driver = |node: &Node| node.get("driver").map(|driver| driver.value.clone());
        match (driver(earlier), driver(&later)) {
            (Some(old), Some(new)) if old != new => replace(earlier, later),
            _ => self.maps(earlier, later),
        }
    }

    /// Merges address ranges: those of one subnet become one.
    fn ipam(&mut self, earlier: &mut Node, later: Node) {
        let span = later.span;
        let (Value::List(ranges), Value::List(more)) = (&mut earlier.value, later.value) else {
            let message = "`config` must be a list of address ranges";
            self.faults.push(Diagnostic::error(span, message));
            return;
        };
        let subnet = |node: &Node| node.get("subnet").map(|subnet| subnet.value.clone());
        let mut merged: Vec<Node> = Vec::new();
        for range in ranges.drain(..) {
            for over in &more {
                let mut range = range.clone();
                let known = |list: &[Node], node: &Node| {
                    list.iter().position(|known| subnet(known) == subnet(node))
                };
                if subnet(over) != subnet(&range) && known(&merged, over).is_none() {
                    merged.push(over.clone());
                    continue;
                }
                self.maps(&mut range, over.clone());
                match known(&merged, &range) {
                    Some(index) => merged[index] = range,
                    None => merged.push(range),
                }
            }
        }
        earlier.value = Value::List(merged);
        earlier.span = span;
    }
}

/// Replaces a value and remembers what it was.
fn replace(earlier: &mut Node, mut later: Node) {
    let value = match std::mem::take(&mut earlier.value) {
        Value::List(_) => Value::List(Vec::new()),
        Value::Map(_) => Value::Map(Map::new()),
        scalar @ (Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)) => scalar,
    };
    let shadow = Shadow {
        span: earlier.span,
        value,
    };
    let trace = later.trace.get_or_insert_default();
    trace.replaces(shadow, earlier.trace.take());
    *earlier = later;
}

fn into_sequence_node(later: Node, earlier: &mut Node) -> Vec<Node> {
    earlier.span = later.span;
    into_sequence(later)
}

/// Turns a mapping into a sorted list of `KEY=value`, and a string into a list of one.
pub(super) fn into_sequence(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(list) => list,
        Value::Map(map) => {
            let mut list: Vec<Node> = map
                .into_iter()
                .flat_map(|(key, entry)| pairs(&key, entry))
                .collect();
            list.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            list
        }
        Value::Text(_) => vec![node],
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => Vec::new(),
    }
}

/// Turns one entry of a mapping into its `KEY=value`s.
fn pairs(key: &str, entry: Entry) -> Vec<Node> {
    let node = entry.node;
    match node.value {
        Value::Null => vec![Node {
            value: Value::Text(key.to_owned()),
            ..node
        }],
        Value::List(items) => {
            let pair = |item: Node| {
                let text = format!("{key}={}", item.value.to_plain());
                Node {
                    value: Value::Text(text),
                    ..item
                }
            };
            items.into_iter().map(pair).collect()
        }
        scalar @ (Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(_)) => {
            let value = Value::Text(format!("{key}={}", scalar.to_plain()));
            vec![Node {
                value,
                span: node.span,
                trace: node.trace,
            }]
        }
    }
}

fn into_build(node: Node) -> Node {
    if node.as_text().is_none() {
        return node;
    }
    let span = node.span;
    let map = Map::from([("context".to_owned(), Entry { key: span, node })]);
    Node::new(Value::Map(map), span)
}

/// Turns a list of names into a mapping.
pub(crate) fn into_names(node: Node, value: &dyn Fn(Span) -> Node) -> Node {
    let span = node.span;
    let Value::List(list) = node.value else {
        return node;
    };
    let entry = |item: Node| {
        let name = item.value.to_plain();
        (
            name,
            Entry {
                key: item.span,
                node: value(item.span),
            },
        )
    };
    Node::new(Value::Map(list.into_iter().map(entry).collect()), span)
}

/// The dependency that a name alone stands for.
pub(crate) fn dependency(span: Span) -> Node {
    let mut node = Node::new(Value::Map(Map::new()), span);
    node.set("condition", Node::text("service_started", span));
    node.set("required", Node::new(Value::Bool(true), span));
    node
}

/// The value of a name alone in a mapping of networks or models.
pub(crate) fn nothing(span: Span) -> Node {
    Node::new(Value::Null, span)
}
