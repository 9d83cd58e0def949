//! Checks of single values that a shape cannot express.

use std::net::IpAddr;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Map, Node, Value};
use crate::value::Cidr;

/// Checks a merged project in its long form.
pub(crate) fn validate(project: &Node, faults: &mut Vec<Diagnostic>) {
    for (_, entry) in named(project, "networks") {
        let config = entry.node.get("ipam").and_then(|ipam| ipam.get("config"));
        for pool in config.and_then(Node::as_list).unwrap_or_default() {
            faults.extend(doubt_of_pool(pool));
        }
    }
    for (name, entry) in named(project, "volumes") {
        external_alone(name, &entry.node, faults);
    }
    for (kind, word, keys) in [
        ("configs", "config", &["file", "environment", "content"][..]),
        ("secrets", "secret", &["file", "environment"][..]),
    ] {
        for (name, entry) in named(project, kind) {
            one_source(word, name, entry.key, &entry.node, (keys, faults));
        }
    }
    for (_, entry) in named(project, "services") {
        service(&entry.node, faults);
    }
}

fn named<'a>(
    project: &'a Node,
    kind: &str,
) -> impl Iterator<Item = (&'a String, &'a crate::compose::tree::Entry)> {
    project
        .get(kind)
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
}

fn service(service: &Node, faults: &mut Vec<Diagnostic>) {
    let list = |node: Option<&Node>| -> Vec<Node> {
        node.and_then(Node::as_list).unwrap_or_default().to_vec()
    };
    for port in list(service.get("ports")) {
        if let Some(ip) = port.get("host_ip").filter(|ip| !is_address(ip)) {
            let message = format!("`{}` is no IP address", ip.value.to_plain());
            faults.push(Diagnostic::error(ip.span, message).expected("expected an IP address"));
        }
    }
    for rule in list(
        service
            .get("develop")
            .and_then(|develop| develop.get("watch")),
    ) {
        if let Some(path) = rule.get("path").filter(|path| path.as_text() == Some("")) {
            faults
                .push(Diagnostic::error(path.span, "`path` is empty").expected("expected a path"));
        }
    }
    let mut reserved = ["deploy", "resources", "reservations", "devices"].iter();
    let reserved = reserved.try_fold(service, |node, key| node.get(key));
    for request in list(reserved).iter().chain(&list(service.get("gpus"))) {
        if let (Some(count), Some(_)) = (request.get("count"), request.get("device_ids")) {
            let message = "`count` and `device_ids` exclude each other";
            faults.push(Diagnostic::error(count.span, message).hint("keep one of them"));
        }
    }
}

/// Warns of a range of addresses that no network can have.
fn doubt_of_pool(pool: &Node) -> Option<Diagnostic> {
    let Some(subnet) = pool.get("subnet") else {
        let gateway = pool.get("gateway")?;
        let warning = Diagnostic::warning(gateway.span, "this `gateway` belongs to no `subnet`");
        return Some(warning.hint("leave out the `- ` before it if it belongs to the one above"));
    };
    let text = subnet.as_text().filter(|text| !text.contains('$'))?;
    let warning = Diagnostic::warning(subnet.span, format!("`{text}` is no subnet"));
    match text.parse::<Cidr>() {
        Err(_) => {
            Some(warning.expected("expected an address and its bits, such as `172.28.0.0/16`"))
        }
        Ok(cidr) if cidr.network() != cidr => {
            Some(warning.hint(format!("with so many bits it is `{}`", cidr.network())))
        }
        Ok(_) => None,
    }
}

fn is_address(node: &Node) -> bool {
    node.value.to_plain().parse::<IpAddr>().is_ok()
}

/// What somebody else manages has no other properties.
fn external_alone(name: &str, node: &Node, faults: &mut Vec<Diagnostic>) {
    let Some(map) = node.as_map() else { return };
    if map
        .get("external")
        .is_none_or(|external| external.node.value != Value::Bool(true))
    {
        return;
    }
    for (key, entry) in map {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = format!("the external volume `{name}` cannot have `{key}`");
            let fault = Diagnostic::error(entry.key, message);
            faults.push(fault.hint("whoever made the volume has set its properties; remove this"));
        }
    }
}

/// A config or secret comes from exactly one place.
fn one_source(
    word: &str,
    name: &str,
    key: crate::compose::tree::Span,
    node: &Node,
    (keys, faults): (&[&str], &mut Vec<Diagnostic>),
) {
    let empty = Map::new();
    let map = node.as_map().unwrap_or(&empty);
    let given: Vec<_> = keys.iter().filter_map(|key| map.get(*key)).collect();
    let choice = format!("`{}`", keys.join("`, `"));
    if let [_, second, ..] = given.as_slice() {
        let message = format!("the {word} `{name}` has more than one source");
        faults
            .push(Diagnostic::error(second.key, message).expected(format!("only one of {choice}")));
    } else if given.is_empty() && !map.contains_key("driver") && !map.contains_key("external") {
        let message = format!("the {word} `{name}` has no source");
        faults.push(
            Diagnostic::error(key, message)
                .hint(format!("add one of {choice} or `external: true`")),
        );
    }
}
