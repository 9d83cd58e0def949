//! Which subnets this machine already uses, by its own routes and addresses.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::runtime::kernel::netlink::RouteSocket;
use crate::runtime::network::bridge::MARK_PREFIX;
use crate::runtime::network::{NetworkError, links};
use crate::value::Cidr;

/// Returns every subnet with a route or an address in the calling thread's network namespace.
///
/// Default routes are left out: they say where the rest goes, not what is near.
pub fn host_subnets() -> Result<Vec<Cidr>, NetworkError> {
    let failed = |source| NetworkError::ReadRoutes { source };
    let mut socket = RouteSocket::open().map_err(failed)?;
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut routes = RouteMessage::default();
        routes.header.address_family = family;
        let routes = socket
            .dump(RouteNetlinkMessage::GetRoute(routes))
            .map_err(failed)?;
        found.extend(routes.iter().filter_map(route_subnet));
    }
    let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let addresses = socket.dump(addresses).map_err(failed)?;
    found.extend(addresses.iter().filter_map(address_subnet));
    found.sort();
    found.dedup();
    Ok(found)
}

/// A subnet that is reached through a link of this machine without a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedSubnet {
    /// The subnet.
    pub subnet: Cidr,
    /// The link's name.
    pub link: String,
    /// The mark of a link of ours.
    pub mark: Option<String>,
}

/// Returns every subnet that is on a link of the calling thread's network namespace.
///
/// What lies behind a gateway is left out: a network may have a part of it, as the nearer route.
pub fn connected_subnets() -> Result<Vec<ConnectedSubnet>, NetworkError> {
    let failed = |source| NetworkError::ReadRoutes { source };
    let mut socket = RouteSocket::open().map_err(failed)?;
    let links = links::all(&mut socket).map_err(failed)?;
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut routes = RouteMessage::default();
        routes.header.address_family = family;
        let routes = socket
            .dump(RouteNetlinkMessage::GetRoute(routes))
            .map_err(failed)?;
        for route in &routes {
            let (Some(subnet), Some(index)) = (route_subnet(route), direct_link(route)) else {
                continue;
            };
            let Some(link) = links.iter().find(|link| link.index == index) else {
                continue;
            };
            let mark = link.alias.clone();
            found.push(ConnectedSubnet {
                subnet,
                link: link.name.clone(),
                mark: mark.filter(|mark| mark.starts_with(MARK_PREFIX)),
            });
        }
    }
    Ok(found)
}

/// Returns the link of a route that has no gateway.
fn direct_link(message: &RouteNetlinkMessage) -> Option<u32> {
    let RouteNetlinkMessage::NewRoute(route) = message else {
        return None;
    };
    let mut link = None;
    for attribute in &route.attributes {
        if let RouteAttribute::Gateway(_) | RouteAttribute::Via(_) = attribute {
            return None;
        }
        if let RouteAttribute::Oif(index) = attribute {
            link = Some(*index);
        }
    }
    link
}

/// Reports whether the calling thread's network namespace has a route for everything that has no nearer one.
pub fn has_default_route() -> Result<bool, NetworkError> {
    let failed = |source| NetworkError::ReadRoutes { source };
    let mut socket = RouteSocket::open().map_err(failed)?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut routes = RouteMessage::default();
        routes.header.address_family = family;
        let routes = socket
            .dump(RouteNetlinkMessage::GetRoute(routes))
            .map_err(failed)?;
        let is_default = |message: &RouteNetlinkMessage| {
            let RouteNetlinkMessage::NewRoute(route) = message else {
                return false;
            };
            route.header.destination_prefix_length == 0 && route.header.kind == RouteType::Unicast
        };
        if routes.iter().any(is_default) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn route_subnet(message: &RouteNetlinkMessage) -> Option<Cidr> {
    let RouteNetlinkMessage::NewRoute(route) = message else {
        return None;
    };
    let prefix_len = route.header.destination_prefix_length;
    let destination = route.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Destination(destination) = attribute else {
            return None;
        };
        if let RouteAddress::Inet(ip) = destination {
            return Some(IpAddr::V4(*ip));
        }
        if let RouteAddress::Inet6(ip) = destination {
            return Some(IpAddr::V6(*ip));
        }
        None
    })?;
    Cidr::new(destination, prefix_len).filter(|_| prefix_len > 0)
}

fn address_subnet(message: &RouteNetlinkMessage) -> Option<Cidr> {
    let RouteNetlinkMessage::NewAddress(address) = message else {
        return None;
    };
    let ip = address.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Address(ip) = attribute {
            return Some(*ip);
        }
        None
    })?;
    Cidr::new(ip, address.header.prefix_len).map(|cidr| cidr.network())
}
