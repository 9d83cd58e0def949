//! Lists whose elements have a key: the last one with a key wins, at the place of the first.

use std::collections::BTreeMap;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::shorthand::volume_target;
use crate::compose::tree::{Node, Shadow, Value};

/// What makes two elements the same.
#[derive(Clone, Copy)]
enum Key {
    /// The text before `=`.
    Name,
    /// The target of a mount.
    Target,
    /// The target of a device.
    Device,
    /// The target of a grant, below a directory when it is not given.
    Grant(&'static str),
    /// The value itself.
    Value,
    /// Address, published and target port and protocol.
    Port,
    /// The path of a file.
    File,
}

/// Drops elements that later ones replace, in all lists that have keys.
pub(crate) fn enforce_unique(project: &mut Node, faults: &mut Vec<Diagnostic>) {
    for (_, entry) in project
        .get_mut("networks")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        list(&mut entry.node, &["labels"], Key::Name, faults);
        list(&mut entry.node, &["ipam", "options"], Key::Name, faults);
    }
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        service(&mut entry.node, faults);
    }
}

fn service(node: &mut Node, faults: &mut Vec<Diagnostic>) {
    let Some(map) = node.as_map_mut() else { return };
    for (name, entry) in map {
        let node = &mut entry.node;
        match name.as_str() {
            "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search"
            | "environment" | "labels" | "links" | "profiles" | "sysctls" | "tmpfs" => {
                list(node, &[], Key::Name, faults);
            }
            "build" => {
                for key in ["args", "additional_contexts", "platform", "tags", "labels"] {
                    list(node, &[key], Key::Name, faults);
                }
            }
            "deploy" => list(node, &["labels"], Key::Name, faults),
            "devices" => list(node, &[], Key::Device, faults),
            "volumes" => list(node, &[], Key::Target, faults),
            "configs" => list(node, &[], Key::Grant(""), faults),
            "secrets" => list(node, &[], Key::Grant("/run/secrets"), faults),
            "expose" => list(node, &[], Key::Value, faults),
            "ports" => list(node, &[], Key::Port, faults),
            "env_file" => list(node, &[], Key::File, faults),
            "networks" => {
                for (_, entry) in node.as_map_mut().into_iter().flatten() {
                    list(&mut entry.node, &["aliases"], Key::Name, faults);
                    list(&mut entry.node, &["link_local_ips"], Key::Name, faults);
                }
            }
            _ => {}
        }
    }
}

/// Drops replaced elements of the list at `path` below `node`.
fn list(node: &mut Node, path: &[&str], key: Key, faults: &mut Vec<Diagnostic>) {
    let mut node = node;
    for step in path {
        let Some(child) = node.get_mut(step) else {
            return;
        };
        node = child;
    }
    let Some(items) = node.as_list_mut() else {
        return;
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for mut item in items.drain(..) {
        let id = match id_of(&item, key) {
            Ok(id) => id,
            Err(fault) => {
                faults.push(*fault);
                kept.push(item);
                continue;
            }
        };
        if let Some(index) = seen.get(&id) {
            let older = std::mem::take(&mut kept[*index]);
            shadow(&mut item, older);
            kept[*index] = item;
        } else {
            seen.insert(id, kept.len());
            kept.push(item);
        }
    }
    *items = kept;
}

fn shadow(winner: &mut Node, older: Node) {
    if winner.span == older.span {
        return;
    }
    let trace = winner.trace.get_or_insert_default();
    let shadow = Shadow {
        span: older.span,
        value: older.value,
    };
    trace.replaces(shadow, older.trace);
}

fn id_of(item: &Node, key: Key) -> Result<String, Box<Diagnostic>> {
    let plain = item.value.to_plain();
    let is_map = item.as_map().is_some();
    let part = |name: &str| {
        item.get(name)
            .filter(|n| !n.is_null())
            .map(|n| n.value.to_plain())
    };
    let lacking = |name: &str, what: &str| {
        let fault = Diagnostic::error(item.span, format!("{what} lacks `{name}`"));
        Box::new(fault.hint(format!("add `{name}:`")))
    };
    match (key, is_map) {
        (Key::Name, _) => match &item.value {
            Value::Text(text) => Ok(text
                .split_once('=')
                .map_or(text.as_str(), |(k, _)| k)
                .into()),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_)) => {
                let message = format!("{} cannot stand in this list", other.kind());
                let fault = Diagnostic::error(item.span, message).expected("expected a string");
                let quoted = format!("put it in quotation marks: \"{}\"", other.to_plain());
                Err(Box::new(if plain.is_empty() {
                    fault
                } else {
                    fault.hint(quoted)
                }))
            }
        },
        (Key::Target, true) => part("target").ok_or_else(|| lacking("target", "the mount")),
        (Key::Target, false) => volume_target(item, &plain),
        (Key::Device, true) => part("target").ok_or_else(|| lacking("target", "the device")),
        (Key::Device, false) => Ok(plain.split(':').nth(1).unwrap_or(&plain).to_owned()),
        (Key::Grant(directory), true) => Ok(part("target")
            .unwrap_or_else(|| format!("{directory}/{}", part("source").unwrap_or_default()))),
        (Key::Grant(directory), false) => Ok(format!("{directory}/{plain}")),
        (Key::Port, true) => {
            let target = part("target").ok_or_else(|| lacking("target", "the port"))?;
            let host = part("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
            let published = part("published").unwrap_or_default();
            let protocol = part("protocol").unwrap_or_else(|| "tcp".to_owned());
            Ok(format!("{host}:{published}:{target}/{protocol}"))
        }
        (Key::File, true) => part("path").ok_or_else(|| lacking("path", "the file of variables")),
        (Key::Value | Key::Port | Key::File, _) => Ok(plain),
    }
}
