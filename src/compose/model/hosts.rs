//! Additional host names: each name with one or more addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{Field, Form};
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};

/// Host names with their addresses, as `extra_hosts` gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtraHosts(pub BTreeMap<String, Vec<String>>);

impl ExtraHosts {
    /// Returns all pairs as `host=address`, sorted.
    pub fn pairs(&self) -> Vec<String> {
        let pair = |(host, ips): (&String, &Vec<String>)| {
            ips.iter()
                .map(|ip| format!("{host}={ip}"))
                .collect::<Vec<_>>()
        };
        let mut pairs: Vec<_> = self.0.iter().flat_map(pair).collect();
        pairs.sort();
        pairs
    }

    fn add(&mut self, host: &str, ip: &str, node: &Node, faults: &mut Vec<Diagnostic>) {
        if host.is_empty() || host.contains([':', '=']) {
            let fault = Diagnostic::error(node.span, format!("`{host}` is no host name"));
            faults.push(fault.expected("expected `host=address` here"));
            return;
        }
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let bare = bare.filter(|bare| !bare.is_empty()).unwrap_or(ip);
        faults.extend(doubt(host, bare, node));
        self.0
            .entry(host.to_owned())
            .or_default()
            .push(bare.to_owned());
    }
}

/// Warns of what is no address: such a container cannot be made.
fn doubt(host: &str, ip: &str, node: &Node) -> Option<Diagnostic> {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if is_address(ip) || ip == "host-gateway" || ip.contains('$') {
        return None;
    }
    let warning = Diagnostic::warning(node.span, format!("`{ip}` is no address for `{host}`"))
        .expected("expected an IP address, or `host-gateway`");
    Some(
        warning
            .maybe_hint(is_address(host).then(|| format!("the name stands first: `{ip}={host}`"))),
    )
}

impl Field for ExtraHosts {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let mut hosts = Self::default();
        for (host, entry) in node.as_map().into_iter().flatten() {
            match &entry.node.value {
                Value::List(ips) => {
                    for ip in ips {
                        hosts.add(host, &ip.value.to_plain(), ip, faults);
                    }
                }
                Value::Null => hosts.add(host, "", &entry.node, faults),
                Value::Text(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Bool(_)
                | Value::Map(_) => {
                    hosts.add(host, &entry.node.value.to_plain(), &entry.node, faults);
                }
            }
        }
        for item in node.as_list().unwrap_or_default() {
            let text = item.value.to_plain();
            match text.split_once('=').or_else(|| text.split_once(':')) {
                Some((host, ips)) => {
                    for ip in ips.split(',') {
                        hosts.add(host, ip, item, faults);
                    }
                }
                None => faults.push(
                    Diagnostic::error(item.span, format!("`{text}` has no address"))
                        .expected("expected `host=address` here"),
                ),
            }
        }
        hosts
    }

    fn schema() -> Json {
        outline::list(outline::text())
    }

    fn print(&self, _: Form) -> Option<Json> {
        (!self.0.is_empty()).then(|| self.pairs().into_iter().map(Json::String).collect())
    }
}
