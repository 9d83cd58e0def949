//! Published ports.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::{DesiredError, PortRange, PortSpec, Protocol};

pub(super) fn ports(desk: &mut Desk<'_>, model: &model::Service) -> Vec<PortSpec> {
    model
        .ports
        .iter()
        .filter_map(|port| one(desk, port))
        .collect()
}

fn one(desk: &mut Desk<'_>, port: &model::Port) -> Option<PortSpec> {
    let Ok(target) = u16::try_from(port.target) else {
        desk.refuse_support("ports", "a port is a number from 1 to 65535");
        return None;
    };
    let protocol = match port.protocol.as_deref() {
        None | Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some("sctp") => {
            desk.refuse_support("ports", "ports of `sctp` cannot be published yet");
            return None;
        }
        Some(_) => {
            desk.refuse_support("ports", "a protocol is `tcp` or `udp`");
            return None;
        }
    };
    Some(PortSpec {
        host_ip: desk.parse_some("ports", port.host_ip.as_ref()),
        published: published(desk, port),
        target,
        protocol,
    })
}

/// Port 0 and no port at all both mean any free one.
fn published(desk: &mut Desk<'_>, port: &model::Port) -> Option<PortRange> {
    let text = port
        .published
        .as_deref()
        .filter(|text| !matches!(*text, "" | "0"))?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = PortRange {
        first: desk.parse("ports", first)?,
        last: desk.parse("ports", last)?,
    };
    if range.last < range.first {
        desk.refuse_support(
            "ports",
            "a range of ports goes from the lower to the higher one",
        );
        return None;
    }
    Some(range)
}

/// Each replica takes one port of a range, so there must be enough of them.
pub(super) fn check_replicas(desk: &mut Desk<'_>, model: &model::Service, replicas: u32) {
    let wanted = usize::try_from(replicas).unwrap_or(usize::MAX);
    if wanted < 2 {
        return;
    }
    for port in ports(desk, model) {
        let Some(range) = port.published.filter(|range| range.count() < wanted) else {
            continue;
        };
        desk.refuse(DesiredError::Shared {
            service: model.name.clone(),
            replicas,
            what: format!("a port of the host out of {range}"),
            place: desk.place("ports"),
        });
    }
}
