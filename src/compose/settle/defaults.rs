//! Defaults that the Compose Specification gives to values that are there.

use crate::compose::tree::{Node, Span, Value};

/// Sets the defaults of a merged project in its long form.
pub(crate) fn set_defaults(project: &mut Node) {
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        let service = &mut entry.node;
        if let Some(build) = service.get_mut("build").filter(|b| b.as_map().is_some()) {
            missing(build, "context", |_| Value::Text(".".to_owned()));
        }
        for secret in elements(service, &["secrets"]) {
            let source = secret
                .get("source")
                .map(|n| n.value.to_plain())
                .unwrap_or_default();
            missing(secret, "target", |_| {
                Value::Text(format!("/run/secrets/{source}"))
            });
        }
        for port in elements(service, &["ports"]) {
            missing(port, "protocol", |_| Value::Text("tcp".to_owned()));
            missing(port, "mode", |_| Value::Text("ingress".to_owned()));
        }
        let reserved = elements(service, &["deploy", "resources", "reservations", "devices"]);
        reserved.for_each(all_devices);
        elements(service, &["gpus"]).for_each(all_devices);
    }
}

fn all_devices(request: &mut Node) {
    if request.get("device_ids").is_none() {
        missing(request, "count", |_| Value::Text("all".to_owned()));
    }
}

/// Sets a key of a mapping that lacks it.
fn missing(node: &mut Node, key: &str, value: impl Fn(Span) -> Value) {
    let span = node.span;
    if node.as_map().is_some_and(|map| !map.contains_key(key)) {
        node.set(key, Node::implied(value(span), span));
    }
}

/// Returns the elements of the list at a path.
fn elements<'a>(node: &'a mut Node, path: &[&str]) -> impl Iterator<Item = &'a mut Node> {
    let mut found = Some(node);
    for step in path {
        found = found.and_then(|node| node.get_mut(step));
    }
    found.and_then(Node::as_list_mut).into_iter().flatten()
}
