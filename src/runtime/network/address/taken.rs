//! Which subnets this machine already uses, by its own routes and addresses.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::runtime::kernel::netlink::RouteSocket;
use crate::runtime::network::NetworkError;
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
