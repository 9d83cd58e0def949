//! Lists whose elements have a key: the last one with a key wins, at the place of the first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::shorthand::volume_target;
use crate::compose::tree::{Node, Shadow};

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
    let places = places(items, key, faults);
    if places.iter().enumerate().all(|(own, place)| own == *place) {
        return;
    }
    let mut kept: Vec<Option<Node>> = Vec::with_capacity(items.len());
    for (mut item, place) in std::mem::take(items).into_iter().zip(places) {
        kept.push(None);
        if let Some(older) = kept[place].take() {
            shadow(&mut item, older);
        }
        kept[place] = Some(item);
    }
    *items = kept.into_iter().flatten().collect();
}

/// For each element, the index of the first that is the same; elements with mistakes are only like themselves.
fn places(items: &[Node], key: Key, faults: &mut Vec<Diagnostic>) -> Vec<usize> {
    let mut first = BTreeMap::new();
    let ids = items.iter().map(|item| id_of(item, key));
    let places = ids.enumerate().map(|(index, id)| match id {
        Ok(id) => *first.entry(id).or_insert(index),
        Err(fault) => {
            faults.push(*fault);
            index
        }
    });
    places.collect()
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

/// What an element is known by; fewer parts are followed by empty ones.
type Id<'a> = [Cow<'a, str>; 4];

fn id(only: Cow<'_, str>) -> Id<'_> {
    [only, "".into(), "".into(), "".into()]
}

fn id_of(item: &Node, key: Key) -> Result<Id<'_>, Box<Diagnostic>> {
    let is_map = item.as_map().is_some();
    let part = |name: &str| item.get(name).filter(|n| !n.is_null()).map(plain);
    let lacking = |name: &str, what: &str| {
        let fault = Diagnostic::missing(item.span, format!("{what} lacks `{name}`"));
        Box::new(fault.hint(format!("add `{name}:`")))
    };
    match (key, is_map) {
        (Key::Name, _) => match item.as_text() {
            Some(text) => Ok(id(text.split('=').next().unwrap_or_default().into())),
            None => Err(Box::new(no_name(item))),
        },
        (Key::Target, true) => part("target")
            .map(id)
            .ok_or_else(|| lacking("target", "the mount")),
        (Key::Target, false) => volume_target(item, &plain(item)).map(|target| id(target.into())),
        (Key::Device, true) => part("target")
            .map(id)
            .ok_or_else(|| lacking("target", "the device")),
        (Key::Device, false) => {
            let plain = plain(item);
            let target = plain
                .split(':')
                .nth(1)
                .map(|target| target.to_owned().into());
            Ok(id(target.unwrap_or(plain)))
        }
        (Key::Grant(directory), true) => Ok(id(part("target").unwrap_or_else(|| {
            format!("{directory}/{}", part("source").unwrap_or_default()).into()
        }))),
        (Key::Grant(directory), false) => Ok(id(format!("{directory}/{}", plain(item)).into())),
        (Key::Port, true) => Ok([
            part("target").ok_or_else(|| lacking("target", "the port"))?,
            part("published").unwrap_or_default(),
            part("host_ip").unwrap_or("0.0.0.0".into()),
            part("protocol").unwrap_or("tcp".into()),
        ]),
        (Key::File, true) => part("path")
            .map(id)
            .ok_or_else(|| lacking("path", "the file of variables")),
        (Key::Value | Key::Port | Key::File, _) => Ok(id(plain(item))),
    }
}

/// Refuses what cannot be `KEY=value`.
fn no_name(item: &Node) -> Diagnostic {
    let message = format!("{} cannot stand in this list", item.value.kind());
    let fault = Diagnostic::error(item.span, message).expected("expected a string");
    let plain = plain(item);
    if plain.is_empty() {
        fault
    } else {
        fault.hint(format!("put it in quotation marks: \"{plain}\""))
    }
}

fn plain(node: &Node) -> Cow<'_, str> {
    match node.as_text() {
        Some(text) => text.into(),
        None => node.value.to_plain().into(),
    }
}
