//! The stage that walks a project and replaces every short form.

use crate::compose::budget::{Budget, TooMuch};
use crate::compose::combine::{dependency, into_names, nothing};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::{Field as _, Form, Port, ServiceVolume};
use crate::compose::shorthand::{parse_port, parse_volume, volumes};
use crate::compose::tree::{Entry, Map, Node, Span, Value};

/// What happens to a short form that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseErrors {
    /// It is a mistake.
    Refused,
    /// It stays as it is: it may contain variables that nobody filled.
    Kept,
}

/// Replaces the short forms of a checked project.
pub(crate) fn canonical(
    project: &mut Node,
    errors: ParseErrors,
    budget: &mut Budget,
    faults: &mut Vec<Diagnostic>,
) {
    let mut stage = Stage {
        errors,
        budget,
        faults,
    };
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        for (key, entry) in entry.node.as_map_mut().into_iter().flatten() {
            stage.service_key(key, &mut entry.node);
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for (key, entry) in project
            .get_mut(kind)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            stage.external(&format!("{kind}.{key}"), &mut entry.node);
        }
    }
    for item in project
        .get_mut("include")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        wrap(item, "path");
    }
}

/// How many values the long form of a mount, a device or a grant is counted as.
const LONG_FORM_VALUES: usize = 8;
/// How many values the long form of a port is counted as.
const PORT_VALUES: usize = 3;

struct Stage<'a> {
    errors: ParseErrors,
    budget: &'a mut Budget,
    faults: &'a mut Vec<Diagnostic>,
}

impl Stage<'_> {
    fn service_key(&mut self, key: &str, node: &mut Node) {
        match key {
            "build" => self.build(node),
            "depends_on" => self.depends_on(node),
            "env_file" => env_file(node),
            "label_file" => listed(node),
            "dns" => {
                listed(node);
                let empty = |n: &Node| n.is_null() || n.as_text() == Some("");
                if let Some(list) = node.as_list_mut() {
                    list.retain(|server| !empty(server));
                }
            }
            "extends" => wrap(node, "service"),
            "gpus" => gpus(node),
            "networks" | "models" => *node = into_names(node.take(), &nothing),
            "volumes" => self.each(node, Self::volume),
            "devices" => self.each(node, Self::device),
            "secrets" | "configs" => self.each(node, |_, item| wrap(item, "source")),
            "ports" => self.ports(node),
            "ulimits" => self.ulimits(node),
            "develop" => develop(node),
            _ => {}
        }
    }

    fn each(&mut self, node: &mut Node, change: impl Fn(&mut Self, &mut Node)) {
        for item in node.as_list_mut().into_iter().flatten() {
            let is_short = item.as_text().is_some();
            if is_short && !self.has_room(LONG_FORM_VALUES, item.span) {
                return;
            }
            change(self, item);
        }
    }

    /// Takes room for what a short form becomes.
    fn has_room(&mut self, values: usize, span: Span) -> bool {
        let taken = self.budget.values(values);
        if let Err(TooMuch(message)) = taken {
            self.faults.push(Diagnostic::error(span, message));
        }
        taken.is_ok()
    }

    fn depends_on(&mut self, node: &mut Node) {
        let short = node.as_list().map_or(0, <[Node]>::len);
        if self.has_room(LONG_FORM_VALUES * short, node.span) {
            depends_on(node);
        }
    }

    fn build(&mut self, node: &mut Node) {
        wrap(node, "context");
        for (key, entry) in node.as_map_mut().into_iter().flatten() {
            let node = &mut entry.node;
            match key.as_str() {
                "secrets" => self.each(node, |_, item| wrap(item, "source")),
                "provenance" | "sbom" if node.as_text().is_none() => {
                    node.value = Value::Text(node.value.to_plain());
                }
                "additional_contexts" => self.key_values(node),
                "ssh" => self.ssh(node),
                "ulimits" => self.ulimits(node),
                _ => {}
            }
        }
    }

    /// Turns a list of `KEY=value` into a mapping; every element must have a value.
    fn key_values(&mut self, node: &mut Node) {
        let Value::List(list) = &node.value else {
            return;
        };
        let mut map = Map::new();
        for item in list {
            let text = item.value.to_plain();
            match text.split_once('=') {
                Some((key, value)) => {
                    let node = Node::text(value, item.span);
                    map.insert(
                        key.to_owned(),
                        Entry {
                            key: item.span,
                            node,
                        },
                    );
                }
                None if self.errors == ParseErrors::Kept => return,
                None => self.faults.push(
                    Diagnostic::error(item.span, format!("`{text}` has no value"))
                        .expected("expected `name=value`"),
                ),
            }
        }
        node.value = Value::Map(map);
    }

    fn ssh(&mut self, node: &mut Node) {
        let Value::List(list) = &node.value else {
            return;
        };
        let mut map = Map::new();
        for item in list {
            let text = item.value.to_plain();
            let (id, value) = match text.split_once('=') {
                Some((id, path)) => (id, Value::Text(path.to_owned())),
                None => (text.as_str(), Value::Null),
            };
            if value == Value::Null && id != "default" {
                let fault = Diagnostic::error(item.span, format!("`{text}` is no SSH key"));
                self.faults
                    .push(fault.expected("expected `default` or `id=path`"));
            }
            let node = Node::new(value, item.span);
            map.insert(
                id.to_owned(),
                Entry {
                    key: item.span,
                    node,
                },
            );
        }
        node.value = Value::Map(map);
    }

    fn ulimits(&mut self, node: &mut Node) {
        for (name, entry) in node.as_map_mut().into_iter().flatten() {
            if let Value::Text(text) = &entry.node.value {
                let message = format!("the limit `{name}` cannot be `{text}`");
                let fault = Diagnostic::error(entry.node.span, message);
                self.faults
                    .push(fault.expected("expected a whole number, or `soft` and `hard`"));
            }
        }
    }

    fn volume(&mut self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        match parse_volume(text) {
            Ok(mut volume) => {
                volume.target = clean_path(&volume.target);
                node.value = volume_map(&volume, node.span);
            }
            Err(error) if self.errors == ParseErrors::Refused => {
                let fault = volumes::fault(node, text, error);
                self.faults.push(fault);
            }
            Err(_) => {}
        }
    }

    fn device(&mut self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ if self.errors == ParseErrors::Kept => ("", "", "rwm"),
            _ => {
                let fault = Diagnostic::error(node.span, format!("`{text}` is no device"));
                let fault =
                    fault.expected("expected `source`, `source:target` or `source:target:rwm`");
                self.faults
                    .push(fault.hint("use the long form with `source:` and `target:`"));
                return;
            }
        };
        let target = if target.is_empty() { source } else { target };
        let fields = [
            ("source", source),
            ("target", target),
            ("permissions", permissions),
        ];
        let fields = fields.map(|(key, value)| (key, Value::Text(value.to_owned())));
        node.value = map_of(node.span, fields);
    }

    fn ports(&mut self, node: &mut Node) {
        let Value::List(list) = &mut node.value else {
            return;
        };
        let is_unreadable =
            |item: &Node| item.as_map().is_none() && parse_port(&item.value.to_plain()).is_err();
        if self.errors == ParseErrors::Kept && list.iter().any(is_unreadable) {
            return;
        }
        let mut ports = Vec::with_capacity(list.len());
        for item in list {
            if item.as_map().is_some() {
                ports.push(item.take());
                continue;
            }
            if self.budget.was_refused() {
                // It was said where they ran out.
                break;
            }
            match parse_port(&item.value.to_plain()) {
                Ok(parsed) => {
                    if !self.has_room(PORT_VALUES * parsed.len(), item.span) {
                        break;
                    }
                    ports.extend(parsed.iter().map(|port| port_node(port, item)));
                }
                Err(error) => {
                    let text = item.value.to_plain();
                    let message = format!("`{text}` publishes no port: {error}");
                    let fault = Diagnostic::error(item.span, message)
                        .expected("expected `published:target` or `target`");
                    self.faults.push(fault.maybe_hint(error.advice(&text)));
                }
            }
        }
        node.value = Value::List(ports);
    }

    /// `external: {name: x}` is the old way to write `external: true` and `name: x`.
    fn external(&mut self, path: &str, node: &mut Node) {
        let Some(external) = node
            .get("external")
            .filter(|n| n.as_map().is_some())
            .cloned()
        else {
            return;
        };
        node.set("external", Node::new(Value::Bool(true), external.span));
        let Some(old_name) = external.get("name") else {
            return;
        };
        self.faults.push(
            Diagnostic::warning(old_name.span, format!("`{path}.external.name` is obsolete"))
                .hint("write `name` beside `external: true`"),
        );
        match node.get("name") {
            Some(name) if name.value != old_name.value => {
                let fault = Diagnostic::error(old_name.span, "`name` and `external.name` differ");
                self.faults.push(
                    fault
                        .note(name.span, "the name is here")
                        .hint("keep only `name`"),
                );
            }
            Some(_) => {}
            None => node.set("name", old_name.clone()),
        }
    }
}

/// Turns a string into a mapping with one key.
fn wrap(node: &mut Node, key: &str) {
    if matches!(node.value, Value::Text(_)) {
        let inner = node.take();
        let span = inner.span;
        let map = Map::from([(
            key.to_owned(),
            Entry {
                key: span,
                node: inner,
            },
        )]);
        *node = Node::new(Value::Map(map), span);
    }
}

/// Turns a string into a list of one.
fn listed(node: &mut Node) {
    if matches!(node.value, Value::Text(_)) {
        let item = node.take();
        let span = item.span;
        *node = Node::new(Value::List(vec![item]), span);
    }
}

fn depends_on(node: &mut Node) {
    *node = into_names(node.take(), &dependency);
    for (_, entry) in node.as_map_mut().into_iter().flatten() {
        let span = entry.node.span;
        for (key, value) in [
            ("condition", Value::Text("service_started".to_owned())),
            ("required", Value::Bool(true)),
        ] {
            if entry.node.get(key).is_none() {
                entry.node.set(key, Node::new(value, span));
            }
        }
    }
}

fn env_file(node: &mut Node) {
    listed(node);
    for item in node.as_list_mut().into_iter().flatten() {
        wrap(item, "path");
        let span = item.span;
        if item.get("required").is_none() {
            item.set("required", Node::new(Value::Bool(true), span));
        }
    }
}

fn gpus(node: &mut Node) {
    if matches!(node.value, Value::Text(_)) {
        let all = map_of(node.span, [("count", Value::Text("all".to_owned()))]);
        node.value = Value::List(vec![Node::new(all, node.span)]);
    }
}

fn develop(node: &mut Node) {
    let rules = node.get_mut("watch").and_then(Node::as_list_mut);
    for rule in rules.into_iter().flatten() {
        for key in ["ignore", "include"] {
            if let Some(patterns) = rule.get_mut(key) {
                listed(patterns);
            }
        }
    }
}

/// Makes a mapping whose keys and values share a place.
pub(super) fn map_of<'a>(span: Span, fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entry = |(key, value): (&str, Value)| {
        (
            key.to_owned(),
            Entry {
                key: span,
                node: Node::new(value, span),
            },
        )
    };
    Value::Map(fields.into_iter().map(entry).collect())
}

fn volume_map(volume: &ServiceVolume, span: Span) -> Value {
    let printed = volume.print(Form::Yaml).unwrap_or_default();
    from_plain(&printed, span)
}

/// Turns printed data back into a node at one place.
fn from_plain(data: &serde_json::Value, span: Span) -> Value {
    match data {
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Object(map) => map_of(
            span,
            map.iter()
                .map(|(key, value)| (key.as_str(), from_plain(value, span))),
        ),
        serde_json::Value::Number(number) => Value::Int(number.as_i64().unwrap_or(0).into()),
        serde_json::Value::Null | serde_json::Value::Array(_) => Value::Null,
    }
}

fn port_node(port: &Port, item: &Node) -> Node {
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let fields = [
        ("mode", text(&port.mode)),
        ("host_ip", text(&port.host_ip)),
        ("target", Some(Value::Int(port.target.into()))),
        ("published", text(&port.published)),
        ("protocol", text(&port.protocol)),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    Node {
        value: map_of(item.span, fields),
        span: item.span,
        trace: item.trace.clone(),
    }
}

/// Removes empty, `.` and `..` parts of a path in a container.
pub(crate) fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
