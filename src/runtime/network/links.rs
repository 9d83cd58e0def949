//! The messages about links, addresses and routes that bridges and endpoints share; pure.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::runtime::kernel::netlink::RouteSocket;
use crate::runtime::network::NetworkError;
use crate::value::Cidr;

/// The kernel's limit, without the terminating zero.
const LINK_NAME_BYTES: usize = 15;

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) alias: Option<String>,
    pub(super) is_bridge: bool,
    /// Whether somebody switched it on.
    pub(super) is_up: bool,
    /// The bridge that it is in.
    pub(super) controller: Option<u32>,
}

/// Refuses what the kernel would refuse, or cut.
pub(super) fn check_link_name(name: &str) -> Result<(), NetworkError> {
    let fits = (1..=LINK_NAME_BYTES).contains(&name.len()) && name != "." && name != "..";
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if fits && !name.contains(bad) {
        return Ok(());
    }
    Err(NetworkError::BadLinkName {
        name: name.escape_debug().to_string(),
    })
}

/// Asks for all links.
pub(super) fn all_links() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    // Counters would make most of the answer.
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    RouteNetlinkMessage::GetLink(message)
}

/// Returns all links.
pub(super) fn all(socket: &mut RouteSocket) -> io::Result<Vec<Link>> {
    let answers = socket.dump(all_links())?;
    Ok(answers.iter().filter_map(read_link).collect())
}

/// Looks for the link of this name; `None` if there is none.
pub(super) fn find(socket: &mut RouteSocket, name: &str) -> io::Result<Option<Link>> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    match socket.get(RouteNetlinkMessage::GetLink(message)) {
        Ok(answers) => Ok(answers.iter().find_map(read_link)),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads one answer to [`all_links`].
pub(super) fn read_link(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        alias: None,
        is_bridge: false,
        is_up: message.header.flags.contains(LinkFlags::Up),
        controller: None,
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        }
        if let LinkAttribute::IfAlias(alias) = attribute {
            link.alias = Some(alias.clone());
        }
        if let LinkAttribute::Controller(index) = attribute {
            link.controller = Some(*index);
        }
        if let LinkAttribute::LinkInfo(info) = attribute {
            link.is_bridge = info.contains(&LinkInfo::Kind(InfoKind::Bridge));
        }
    }
    Some(link)
}

/// Marks a link as ours.
pub(super) fn set_alias(index: u32, name: Option<&str>, mark: &str) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
        .attributes
        .extend(name.map(|name| LinkAttribute::IfName(name.to_owned())));
    message
        .attributes
        .push(LinkAttribute::IfAlias(mark.to_owned()));
    RouteNetlinkMessage::SetLink(message)
}

/// Switches a link on.
pub(super) fn set_up(index: u32) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    RouteNetlinkMessage::SetLink(message)
}

/// Removes a link.
pub(super) fn delete_link(index: u32) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    RouteNetlinkMessage::DelLink(message)
}

/// Gives a link an address.
pub(super) fn add_address(index: u32, cidr: Cidr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewAddress(address_message(index, cidr))
}

/// Takes an address from a link.
pub(super) fn delete_address(index: u32, cidr: Cidr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelAddress(address_message(index, cidr))
}

fn address_message(index: u32, cidr: Cidr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = cidr.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.attributes = vec![
        AddressAttribute::Local(cidr.address()),
        AddressAttribute::Address(cidr.address()),
    ];
    if let (IpAddr::V4(_), IpAddr::V4(broadcast)) = (cidr.address(), cidr.last()) {
        message.header.family = AddressFamily::Inet;
        message
            .attributes
            .push(AddressAttribute::Broadcast(broadcast));
    } else {
        message.header.family = AddressFamily::Inet6;
        // The addresses of a network are ours to give out: asking around would cost a second.
        message.header.flags = AddressHeaderFlags::Nodad;
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

/// Sends everything that has no nearer route through `gateway`, or, without one, out of the link.
pub(super) fn default_route(index: u32, gateway: IpAddr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewRoute(route_message(index, gateway))
}

/// Sends nothing more through `gateway` for want of a nearer route.
pub(super) fn delete_default_route(index: u32, gateway: IpAddr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelRoute(route_message(index, gateway))
}

fn route_message(index: u32, gateway: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    let (family, address) = match gateway {
        IpAddr::V4(v4) => (AddressFamily::Inet, RouteAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, RouteAddress::Inet6(v6)),
    };
    message.header.address_family = family;
    message.attributes = vec![RouteAttribute::Gateway(address), RouteAttribute::Oif(index)];
    message
}

/// Returns the address on a link that an answer describes.
pub(super) fn read_address(message: &RouteNetlinkMessage) -> Option<(u32, Cidr)> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    let mut found = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(ip) | AddressAttribute::Address(ip) = attribute {
            found = Some(*ip);
        }
    }
    let link_local = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => *v4 == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let ip = found.filter(|ip| !link_local(ip))?;
    Some((
        message.header.index,
        Cidr::new(ip, message.header.prefix_len)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_name_is_what_the_kernel_takes() {
        for name in ["eth0", "cs-0123456789", "a"] {
            check_link_name(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", "a b", "a\nb", "0123456789abcdef"] {
            assert!(check_link_name(name).is_err(), "{name:?}");
        }
    }
}
