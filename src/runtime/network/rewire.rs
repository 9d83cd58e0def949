//! The interfaces of a container that runs, brought to what they should be now.
//!
//! What is there is asked of the kernel alone: the outer ends that carry the container's mark, and the
//! bridge that each is in. So doing it again changes nothing, and doing it after a crash finishes it.
//!
//! **Invariant:** interfaces and routes that somebody made inside the container are never touched.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::NetworkError;
use super::endpoint::{self, EndpointConfig, bridge_indexes, link_error, open_socket, visit};
use super::links;
use crate::runtime::kernel::netlink::RouteSocket;

/// Gives a container's namespace exactly these interfaces and ways out.
///
/// `mark` is what the outer ends of its interfaces carry.
pub fn rewire(
    netns: impl AsFd,
    mark: &str,
    endpoints: &[EndpointConfig],
) -> Result<(), NetworkError> {
    let netns = netns.as_fd();
    let mut outside = open_socket()?;
    let bridges = bridge_indexes(&mut outside, endpoints)?;
    let wanted: BTreeSet<u32> = bridges.values().copied().collect();
    let mut plugged = BTreeSet::new();
    let mut unwanted = Vec::new();
    for link in marked(&mut outside, mark)? {
        match link.controller.filter(|bridge| wanted.contains(bridge)) {
            Some(bridge) => drop(plugged.insert(bridge)),
            // The inner end goes with it.
            None => unwanted.push(links::delete_link(link.index)),
        }
    }
    let is_there = |one: &&EndpointConfig| {
        bridges
            .get(&one.bridge)
            .is_some_and(|index| plugged.contains(index))
    };
    let (kept, missing): (Vec<&EndpointConfig>, Vec<&EndpointConfig>) =
        endpoints.iter().partition(is_there);
    remove(&mut outside, unwanted).map_err(link_error("remove an interface marked", mark))?;
    // Before new ones come: of two ways out for the same packets the kernel refuses the second.
    let lacking = visit(netns, || close_ways_out(&kept))?;
    let missing: Vec<EndpointConfig> = missing.into_iter().cloned().collect();
    endpoint::attach(netns, &missing)?;
    visit(netns, || {
        open_socket()?
            .request_all(lacking)
            .map_err(link_error("route through the interfaces of", mark))
    })
}

/// Returns the outer ends that carry a mark.
fn marked(outside: &mut RouteSocket, mark: &str) -> Result<Vec<links::Link>, NetworkError> {
    let all = outside
        .dump(links::all_links())
        .map_err(link_error("find the interfaces marked", mark))?;
    let links = all.iter().filter_map(links::read_link);
    Ok(links
        .filter(|link| link.alias.as_deref() == Some(mark))
        .collect())
}

/// Removes links; one that is gone by now, with a namespace that was just given up, is fine.
fn remove(socket: &mut RouteSocket, messages: Vec<RouteNetlinkMessage>) -> io::Result<()> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(nix::libc::ENODEV);
    let verdicts = socket.request(messages)?.into_iter();
    verdicts
        .filter(|verdict| !verdict.as_ref().is_err_and(gone))
        .collect()
}

/// Removes the ways out through these interfaces that they should not have; returns what adds those
/// that they lack.
fn close_ways_out(kept: &[&EndpointConfig]) -> Result<Vec<RouteNetlinkMessage>, NetworkError> {
    let failed = |source| NetworkError::ReadRoutes { source };
    let mut socket = open_socket()?;
    let ways_out = ways_out(&mut socket).map_err(failed)?;
    let (mut closed, mut lacking) = (Vec::new(), Vec::new());
    for endpoint in kept {
        let name = &endpoint.interface_name;
        let found = links::find(&mut socket, name).map_err(link_error("find interface", name))?;
        // Renamed or taken away by somebody inside: then its routes are theirs as well.
        let Some(link) = found else { continue };
        let own = ways_out.iter().filter(|way| way.link == link.index);
        let own: BTreeSet<IpAddr> = own.map(|way| way.gateway).collect();
        let wanted: BTreeSet<IpAddr> = endpoint.default_gateways.iter().copied().collect();
        let surplus = own.difference(&wanted);
        closed.extend(surplus.map(|gateway| links::delete_default_route(link.index, *gateway)));
        let missing = wanted.difference(&own);
        lacking.extend(missing.map(|gateway| links::default_route(link.index, *gateway)));
    }
    socket
        .request_all(closed)
        .map_err(link_error("take the way out from", "the interfaces"))?;
    Ok(lacking)
}

/// A route for everything that has no nearer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WayOut {
    link: u32,
    gateway: IpAddr,
}

fn ways_out(socket: &mut RouteSocket) -> io::Result<Vec<WayOut>> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut routes = RouteMessage::default();
        routes.header.address_family = family;
        let routes = socket.dump(RouteNetlinkMessage::GetRoute(routes))?;
        found.extend(routes.iter().filter_map(read_way_out));
    }
    Ok(found)
}

fn read_way_out(message: &RouteNetlinkMessage) -> Option<WayOut> {
    let RouteNetlinkMessage::NewRoute(route) = message else {
        return None;
    };
    let header = &route.header;
    if header.destination_prefix_length > 0 || header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let (mut link, mut gateway) = (None, None);
    for attribute in &route.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            link = Some(*index);
        }
        if let RouteAttribute::Gateway(RouteAddress::Inet(ip)) = attribute {
            gateway = Some(IpAddr::V4(*ip));
        }
        if let RouteAttribute::Gateway(RouteAddress::Inet6(ip)) = attribute {
            gateway = Some(IpAddr::V6(*ip));
        }
    }
    Some(WayOut {
        link: link?,
        gateway: gateway?,
    })
}
