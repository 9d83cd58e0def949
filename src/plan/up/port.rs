//! Ports of the host and fixed addresses that move from one container to another: who has one stops
//! before who gets it starts.
//!
//! **Invariant:** what has a port or an address that another one gets never waits for that other one to
//! start.

use super::Up;
use crate::desired::{ContainerSpec, EndpointSpec, PortSpec};
use crate::observed::{ObservedContainer, ObservedEndpoint, ObservedPort};
use crate::plan::StepId;

impl Up<'_> {
    /// Whether a container has a port or an address that another one is to have.
    pub(super) fn is_contested(&self, there: &ObservedContainer) -> bool {
        let own = &there.final_name;
        self.meant()
            .flat_map(|service| &service.replicas)
            .any(|spec| spec.name != *own && takes_over(spec, there))
    }

    /// Lets everyone who takes a port or an address over start after the one who has it has stopped.
    pub(super) fn hand_ports_over(&mut self) {
        let mut arrows: Vec<(StepId, StepId)> = Vec::new();
        for (spec, start) in &self.starts {
            for there in self.observed.containers.values() {
                let stopped = self.stops.of(&there.name);
                let stopped = stopped.or_else(|| self.stops.of(&there.final_name));
                let Some(stopped) = stopped.filter(|_| takes_over(spec, there)) else {
                    continue;
                };
                arrows.push((*start, stopped));
            }
        }
        for (start, stopped) in arrows {
            self.after(start, [stopped]);
        }
    }
}

/// Whether a container, once it starts, wants a port or an address that another one has now.
fn takes_over(spec: &ContainerSpec, there: &ObservedContainer) -> bool {
    let mut ports = spec.ports.iter().filter_map(fixed);
    let mut endpoints = spec.network.endpoints().iter();
    ports.any(|(number, wanted)| there.ports.iter().any(|port| is_same(number, wanted, port)))
        || endpoints.any(|wanted| {
            let there = there.endpoints.get(&wanted.network);
            there.is_some_and(|there| has_address_of(wanted, there))
        })
}

fn has_address_of(wanted: &EndpointSpec, there: &ObservedEndpoint) -> bool {
    (wanted.ipv4_address.is_some() && wanted.ipv4_address == there.ipv4_address)
        || (wanted.ipv6_address.is_some() && wanted.ipv6_address == there.ipv6_address)
}

/// The one port of the host that will do, if there is only one.
fn fixed(port: &PortSpec) -> Option<(u16, &PortSpec)> {
    let range = port.published.filter(|range| range.first == range.last)?;
    Some((range.first, port))
}

fn is_same(number: u16, wanted: &PortSpec, there: &ObservedPort) -> bool {
    let on_one_address = match wanted.host_ip {
        None => true,
        Some(ip) => ip == there.host_ip || ip.is_unspecified() || there.host_ip.is_unspecified(),
    };
    there.published == Some(number)
        && there.protocol == wanted.protocol.to_string()
        && on_one_address
}
