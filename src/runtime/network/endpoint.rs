//! A container's side of its networks: its namespace, and one veth pair per network.
//!
//! The namespace is a descriptor and has no name; when the last holder is gone the kernel removes it
//! with every interface in it and with their other ends. So nothing here needs undoing after a crash.
//!
//! **Invariant:** an interface appears inside with all of its addresses or not at all.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use serde::{Deserialize, Serialize};

use crate::runtime::kernel::netlink::{RouteSocket, inside, new_netns};
use crate::value::Cidr;

use super::address::MacAddress;
use super::links;
use super::{NetworkError, settings};

/// The loopback interface has this number in every namespace.
const LOOPBACK_INDEX: u32 = 1;

/// One interface of a container as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// The name inside, such as `eth0`.
    pub interface_name: String,
    /// The bridge in the caller's namespace that the other end joins.
    pub bridge: String,
    /// The name of the other end; [`host_link_name`] makes one.
    pub host_link: String,
    /// The mark of the other end, `consort:<installation>/<container-id>`.
    pub mark: String,
    /// The IPv4 address and prefix.
    pub ipv4: Option<Cidr>,
    /// The IPv6 address and prefix.
    pub ipv6: Option<Cidr>,
    /// The hardware address.
    pub mac: MacAddress,
    /// The largest packet; the kernel's default if none.
    pub mtu: Option<u32>,
    /// Where everything without a nearer route goes, at most one per family and container.
    pub default_gateways: Vec<IpAddr>,
}

/// Returns a name for the other end that no living link has: the old one of a restarted container
/// may live some milliseconds longer than the container.
pub fn host_link_name() -> io::Result<String> {
    let mut random = [0_u8; 5];
    let count = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let hex: String = random
        .iter()
        .take(count)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("cv-{hex}"))
}

/// Makes a network namespace with nothing but its loopback interface, switched on.
///
/// IPv6 is off on interfaces that come later, until an endpoint asks for it.
pub fn create_netns() -> Result<OwnedFd, NetworkError> {
    let made = new_netns(|| {
        RouteSocket::open()?.request_all(vec![links::set_up(LOOPBACK_INDEX)])?;
        Ok(settings::set("ipv6/conf/default/disable_ipv6", "1"))
    });
    let act = "make a network namespace";
    let (netns, quiet) = made.map_err(|source| NetworkError::Namespace { act, source })?;
    match quiet {
        // A kernel without IPv6 has nothing to switch off.
        Err(NetworkError::Setting { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    Ok(netns)
}

/// Switches the loopback interface of a namespace on.
pub fn loopback_up(netns: impl AsFd) -> Result<(), NetworkError> {
    visit(netns, || {
        let up = || RouteSocket::open()?.request_all(vec![links::set_up(LOOPBACK_INDEX)]);
        up().map_err(link_error("switch on", "lo"))
    })
}

/// Gives the namespace these interfaces; if one fails, none stays.
pub fn attach(netns: impl AsFd, endpoints: &[EndpointConfig]) -> Result<(), NetworkError> {
    if endpoints.is_empty() {
        return Ok(());
    }
    let netns = netns.as_fd();
    let mut outside = open_socket()?;
    let mut made = Vec::new();
    let result = attach_all(&mut outside, netns, endpoints, &mut made);
    if result.is_err() {
        // The first failure is the one to tell; a pair that stays here goes with the namespace.
        let undo = made
            .iter()
            .map(|index| links::delete_link(*index))
            .collect();
        drop(outside.request(undo));
    }
    result
}

/// Returns the names of the interfaces in a namespace, loopback left out.
pub fn interface_names(netns: impl AsFd) -> Result<Vec<String>, NetworkError> {
    let links = visit(netns, || {
        let mut socket = open_socket()?;
        socket
            .dump(links::all_links())
            .map_err(|source| NetworkError::ReadRoutes { source })
    })?;
    let found = links.iter().filter_map(links::read_link);
    Ok(found
        .filter(|link| link.index != LOOPBACK_INDEX)
        .map(|link| link.name)
        .collect())
}

fn attach_all(
    outside: &mut RouteSocket,
    netns: BorrowedFd<'_>,
    endpoints: &[EndpointConfig],
    made: &mut Vec<u32>,
) -> Result<(), NetworkError> {
    let bridges = bridge_indexes(outside, endpoints)?;
    let mut messages = Vec::new();
    for endpoint in endpoints {
        links::check_link_name(&endpoint.interface_name)?;
        links::check_link_name(&endpoint.host_link)?;
        let bridge = bridges.get(&endpoint.bridge).copied().unwrap_or(0);
        messages.push(veth_pair(endpoint, bridge, netns));
        messages.push(links::set_alias(
            0,
            Some(&endpoint.host_link),
            &endpoint.mark,
        ));
    }
    let verdicts = outside.request(messages);
    let verdicts = verdicts.map_err(link_error("create interfaces for", &endpoints[0].bridge))?;
    let mut failure = None;
    for (endpoint, verdict) in endpoints.iter().zip(verdicts.chunks(2)) {
        let mut creation = verdict.iter().filter_map(|part| part.as_ref().err());
        if let Some(error) = creation.next() {
            failure = failure.or(Some((endpoint, copy_of(error))));
        }
        // Looked up only on the way back from a failure, and cheap beside the creation.
        if let Ok(Some(link)) = links::find(outside, &endpoint.host_link) {
            made.push(link.index);
        }
    }
    if let Some((endpoint, error)) = failure {
        return Err(link_error("create interface", &endpoint.interface_name)(
            error,
        ));
    }
    visit(netns, || set_up_inside(endpoints))
}

fn copy_of(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

pub(super) fn bridge_indexes(
    socket: &mut RouteSocket,
    endpoints: &[EndpointConfig],
) -> Result<BTreeMap<String, u32>, NetworkError> {
    let mut found = BTreeMap::new();
    for endpoint in endpoints {
        let failed = link_error("find bridge", &endpoint.bridge);
        let link = links::find(socket, &endpoint.bridge).map_err(&failed)?;
        let link = link.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        found.insert(endpoint.bridge.clone(), link.index);
    }
    Ok(found)
}

/// Both ends in one message: the outer one up and in its bridge, the inner one already inside.
fn veth_pair(endpoint: &EndpointConfig, bridge: u32, netns: BorrowedFd<'_>) -> RouteNetlinkMessage {
    // The default is a pair of queues for each CPU, at a price and without use on a software link.
    let queues = [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];
    let mtu = endpoint.mtu.map(LinkAttribute::Mtu);
    let mut inner = LinkMessage::default();
    inner.attributes = vec![
        LinkAttribute::IfName(endpoint.interface_name.clone()),
        LinkAttribute::Address(endpoint.mac.octets().to_vec()),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    inner.attributes.extend(mtu.clone());
    inner.attributes.extend(queues.clone());
    let mut outer = LinkMessage::default();
    outer.header.flags = LinkFlags::Up;
    outer.header.change_mask = LinkFlags::Up;
    outer.attributes = vec![
        LinkAttribute::IfName(endpoint.host_link.clone()),
        LinkAttribute::Controller(bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]),
    ];
    outer.attributes.extend(mtu);
    outer.attributes.extend(queues);
    RouteNetlinkMessage::NewLink(outer)
}

fn set_up_inside(endpoints: &[EndpointConfig]) -> Result<(), NetworkError> {
    let mut socket = open_socket()?;
    let mut messages = Vec::new();
    let mut routes = Vec::new();
    for endpoint in endpoints {
        let name = &endpoint.interface_name;
        let failed = link_error("find interface", name);
        let link = links::find(&mut socket, name).map_err(&failed)?;
        let index = link
            .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?
            .index;
        if endpoint.ipv6.is_some() {
            settings::set(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
            settings::set(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        }
        let addresses = [endpoint.ipv4, endpoint.ipv6].into_iter().flatten();
        messages.extend(addresses.map(|cidr| links::add_address(index, cidr)));
        messages.push(links::set_up(index));
        let gateways = endpoint.default_gateways.iter();
        routes.extend(gateways.map(|gateway| links::default_route(index, *gateway)));
    }
    messages.extend(routes);
    let first = endpoints
        .first()
        .map_or("", |endpoint| &endpoint.interface_name);
    socket
        .request_all(messages)
        .map_err(link_error("give addresses to interface", first))
}

pub(super) fn open_socket() -> Result<RouteSocket, NetworkError> {
    let act = "open a netlink socket";
    RouteSocket::open().map_err(|source| NetworkError::Namespace { act, source })
}

pub(super) fn link_error<'a>(
    act: &'static str,
    link: &'a str,
) -> impl Fn(io::Error) -> NetworkError + 'a {
    move |source| NetworkError::Link {
        act,
        link: link.to_owned(),
        source,
    }
}

/// Runs `act` inside a namespace, with our own kind of error.
pub(super) fn visit<T>(
    netns: impl AsFd,
    act: impl FnOnce() -> Result<T, NetworkError>,
) -> Result<T, NetworkError> {
    let visited: Result<Result<T, NetworkError>, io::Error> = inside(netns, || Ok(act()));
    let act = "enter a network namespace";
    visited.map_err(|source| NetworkError::Namespace { act, source })?
}
