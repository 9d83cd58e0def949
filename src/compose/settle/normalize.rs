//! Values that follow from others: the default network, implicit dependencies, variables without
//! a value, real names.

use std::collections::BTreeMap;

use crate::compose::shorthand::clean_path;
use crate::compose::tree::{Entry, Map, Node, Span, Value};

/// Adds what follows from a settled project of this name.
pub(crate) fn normalize(project: &mut Node, name: &str, environment: &BTreeMap<String, String>) {
    default_network(project);
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        if entry.node.as_map().is_some() {
            service(&mut entry.node, environment);
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, entry) in project
            .get_mut(kind)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            real_name(key, entry, name);
        }
    }
}

/// A service without networks is in the network `default`, which exists when it is used.
fn default_network(project: &mut Node) {
    let mut used = None;
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        let service = &mut entry.node;
        if service.get("provider").is_some() || service.get("network_mode").is_some() {
            continue;
        }
        let span = entry.key;
        let networks = service.get("networks").and_then(Node::as_map);
        match networks {
            Some(networks) if networks.contains_key("default") => used = used.or(Some(span)),
            Some(networks) if !networks.is_empty() => {}
            _ => {
                let default = Map::from([("default".to_owned(), null(span))]);
                service.set("networks", Node::new(Value::Map(default), span));
                used = used.or(Some(span));
            }
        }
    }
    let Some(span) = used else { return };
    if project
        .get("networks")
        .is_none_or(|networks| networks.as_map().is_none())
    {
        project.set("networks", Node::new(Value::Map(Map::new()), span));
    }
    if let Some(networks) = project.get_mut("networks").and_then(Node::as_map_mut) {
        networks
            .entry("default".to_owned())
            .or_insert_with(|| null(span));
    }
}

fn null(span: Span) -> Entry {
    Entry {
        key: span,
        node: Node::implied(Value::Null, span),
    }
}

fn implied(text: &str, span: Span) -> Node {
    Node::implied(Value::Text(text.to_owned()), span)
}

fn service(service: &mut Node, environment: &BTreeMap<String, String>) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".to_owned());
    }
    if let Some(build) = service
        .get_mut("build")
        .filter(|build| build.as_map().is_some())
    {
        normalize_build(build, environment);
    }
    if let Some(variables) = service.get_mut("environment") {
        resolve(variables, environment, Unset::Kept);
    }
    for volume in service
        .get_mut("volumes")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        if let Some(target) = volume.get_mut("target") {
            target.value = Value::Text(clean_target(&target.value.to_plain()));
        }
    }
    depend(service);
    pre_start_images(service);
}

fn clean_target(path: &str) -> String {
    if path.is_empty() {
        ".".to_owned()
    } else {
        clean_path(path)
    }
}

fn normalize_build(build: &mut Node, environment: &BTreeMap<String, String>) {
    let span = build.span;
    let lacks = |build: &Node, key| build.get(key).is_none_or(Node::is_null);
    if lacks(build, "context") {
        build.set("context", implied(".", span));
    }
    if lacks(build, "dockerfile") && lacks(build, "dockerfile_inline") {
        build.set("dockerfile", implied("Dockerfile", span));
    }
    if let Some(args) = build.get_mut("args") {
        resolve(args, environment, Unset::Dropped);
    }
}

/// What becomes of a variable without a value that the environment does not have.
#[derive(Clone, Copy, PartialEq)]
enum Unset {
    Kept,
    Dropped,
}

/// Gives variables without a value the value that they have in the environment.
fn resolve(node: &mut Node, environment: &BTreeMap<String, String>, unset: Unset) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, entry| {
            if let (true, Some(value)) = (entry.node.is_null(), environment.get(key)) {
                entry.node.value = Value::Text(value.clone());
                entry.node.fill_from(key, value);
            }
            unset == Unset::Kept || !entry.node.is_null()
        }),
        Value::List(list) => list.retain_mut(|item| {
            let Value::Text(text) = &mut item.value else {
                return true;
            };
            if text.contains('=') {
                return true;
            }
            let name = text.clone();
            match environment.get(&name) {
                Some(value) => {
                    *text = format!("{name}={value}");
                    item.fill_from(&name, value);
                    true
                }
                None => unset == Unset::Kept,
            }
        }),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// Adds the dependencies that links and shared namespaces and volumes bring.
fn depend(service: &mut Node) {
    let mut implied: Vec<(String, Span, Value)> = Vec::new();
    for link in service
        .get("links")
        .and_then(Node::as_list)
        .unwrap_or_default()
    {
        let text = link.value.to_plain();
        let parts: Vec<&str> = text.split(':').collect();
        let name = if parts.len() == 2 {
            parts[0]
        } else {
            text.as_str()
        };
        implied.push((name.to_owned(), link.span, Value::Bool(true)));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(mode) = service.get(key) else {
            continue;
        };
        if let Some(name) = mode
            .as_text()
            .and_then(|mode| mode.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), mode.span, Value::Bool(true)));
        }
    }
    for from in service
        .get("volumes_from")
        .and_then(Node::as_list)
        .unwrap_or_default()
    {
        let text = from.value.to_plain();
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default().to_owned();
            implied.push((name, from.span, Value::Bool(false)));
        }
    }
    let span = service.span;
    if !implied.is_empty()
        && service
            .get("depends_on")
            .is_none_or(|node| node.as_map().is_none())
    {
        service.set("depends_on", Node::new(Value::Map(Map::new()), span));
    }
    let Some(dependencies) = service.get_mut("depends_on").and_then(Node::as_map_mut) else {
        return;
    };
    for (name, span, restart) in implied {
        dependencies.entry(name).or_insert_with(|| {
            let mut node = crate::compose::combine::dependency(span);
            node.set("restart", Node::implied(restart, span));
            Entry { key: span, node }
        });
    }
}

/// A hook before the start runs in the service's image unless it names one.
fn pre_start_images(service: &mut Node) {
    let Some(image) = service
        .get("image")
        .filter(|image| image.as_text() != Some(""))
        .cloned()
    else {
        return;
    };
    for hook in service
        .get_mut("pre_start")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        if hook.get("image").is_none() {
            hook.set("image", image.clone());
        }
    }
}

/// A network, volume, config or secret without a name has the project's as a prefix.
fn real_name(key: &str, entry: &mut Entry, project: &str) {
    if entry.node.is_null() {
        entry.node.value = Value::Map(Map::new());
    }
    if entry.node.get("name").is_none_or(Node::is_null) {
        let external = entry
            .node
            .get("external")
            .map(|external| external.value.to_plain());
        let external = matches!(
            external.as_deref(),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True")
        );
        let name = if external {
            key.to_owned()
        } else {
            format!("{project}_{key}")
        };
        entry.node.set("name", implied(&name, entry.key));
    }
}
