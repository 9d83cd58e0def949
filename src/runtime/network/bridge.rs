//! One bridge per network: made, found again by its mark, and removed.
//!
//! Everything happens in the calling thread's network namespace: the host's as root, the holder's as
//! an ordinary user.
//!
//! **Invariant:** a link without our mark is never changed or removed.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use sha2::{Digest as _, Sha256};

use crate::runtime::kernel::netlink::{LinkRemovals, RouteSocket};
use crate::value::Cidr;

use super::NetworkError;
use super::links::{self, Link};
use super::nat::{Ipv6, Settling};
use super::settings;

/// What every alias of ours begins with.
pub const MARK_PREFIX: &str = "consort:";

/// A bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// The link's name, at most 15 characters; [`bridge_name`] makes one.
    pub link: String,
    /// Its mark, `consort:<installation>/<project>/<network>`; [`bridge_mark`] makes it.
    pub mark: String,
    /// The gateway's IPv4 address and prefix; none for a network without IPv4.
    pub gateway_v4: Option<Cidr>,
    /// The gateway's IPv6 address and prefix; none for a network without IPv6.
    pub gateway_v6: Option<Cidr>,
    /// The largest packet; the kernel's default if none.
    pub mtu: Option<u32>,
}

/// A bridge of ours that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedBridge {
    /// The link's name.
    pub link: String,
    /// Its number.
    pub index: u32,
    /// Its mark, with the prefix.
    pub mark: String,
}

/// Whether something was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was made now.
    Created,
    /// It was there, as it should be or put right.
    Found,
}

/// Returns the name of the bridge that belongs to a network's id or full name.
pub fn bridge_name(network: &str) -> String {
    let hash = Sha256::digest(network.as_bytes());
    let short: String = hash
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("cs-{short}")
}

/// Returns the mark of a project's network.
pub fn bridge_mark(installation: &str, project: &str, network: &str) -> String {
    format!("{MARK_PREFIX}{installation}/{project}/{network}")
}

/// Makes the bridge, or puts right the one that is there.
pub fn ensure(config: &BridgeConfig) -> Result<Ensured, NetworkError> {
    links::check_link_name(&config.link)?;
    let failed = |act| link_error(act, &config.link);
    let mut socket = RouteSocket::open().map_err(failed("open a socket for bridge"))?;
    let before = links::find(&mut socket, &config.link).map_err(failed("look for bridge"))?;
    let (index, ensured) = match before {
        Some(link) if link.is_bridge && link.alias.as_deref() == Some(config.mark.as_str()) => {
            (link.index, Ensured::Found)
        }
        Some(_) => {
            return Err(NetworkError::ForeignLink {
                link: config.link.clone(),
            });
        }
        None => {
            create(&mut socket, config).map_err(failed("create bridge"))?;
            let made = links::find(&mut socket, &config.link).map_err(failed("look for bridge"))?;
            let gone = || failed("look for bridge")(io::ErrorKind::NotFound.into());
            (made.ok_or_else(gone)?.index, Ensured::Created)
        }
    };
    let ipv6 = match config.gateway_v6 {
        Some(_) => Ipv6::Enabled,
        None => Ipv6::Disabled,
    };
    settings::harden_bridge(&config.link, ipv6)?;
    set_addresses(&mut socket, index, config).map_err(failed("give addresses to bridge"))?;
    Ok(ensured)
}

/// Removes the bridge if it is there and ours; its addresses go first, so that a new network may
/// have its subnet before the link is gone.
pub fn remove(link: &str) -> Result<(), NetworkError> {
    let failed = link_error("remove bridge", link);
    let Some(Removal {
        mut socket,
        messages,
        ..
    }) = Removal::of(link)?
    else {
        return Ok(());
    };
    let mut verdicts = socket.request(messages).map_err(&failed)?;
    match verdicts.pop() {
        Some(Err(error)) if !is_no_device(&error) => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Removes the bridge if it is there and ours; returns when it is out of everybody's sight, and leaves
/// it to a process of its own to wait until the kernel has forgotten it, and what is `settling`.
///
/// A link is gone for everybody, its name, its addresses and its routes, long before the kernel
/// answers the request: it waits for its own readers after that, for 25 to 60 ms. Nothing can
/// interrupt it there, so that nothing is lost when that process is killed.
pub fn remove_from_sight(link: &str, settling: Settling) -> Result<(), NetworkError> {
    let Some(removal) = Removal::of(link)? else {
        return Ok(());
    };
    let gone = LinkRemovals::listen().and_then(|removals| {
        let Removal {
            socket,
            index,
            messages,
        } = removal;
        let worker = socket.request_beside(messages, settling.into_socket())?;
        removals.wait_for(index, &worker)
    });
    match gone {
        Ok(true) => Ok(()),
        // What is in the way is said here.
        Ok(false) | Err(_) => remove(link),
    }
}

/// What takes a bridge of ours away.
struct Removal {
    socket: RouteSocket,
    index: u32,
    messages: Vec<RouteNetlinkMessage>,
}

impl Removal {
    /// Looks for the bridge; nothing is to be done where there is none.
    fn of(link: &str) -> Result<Option<Self>, NetworkError> {
        let failed = |act| link_error(act, link);
        let mut socket = RouteSocket::open().map_err(failed("open a socket for bridge"))?;
        let Some(found) = links::find(&mut socket, link).map_err(failed("look for bridge"))? else {
            return Ok(None);
        };
        if !is_marked(&found) {
            return Err(NetworkError::ForeignLink {
                link: link.to_owned(),
            });
        }
        let index = found.index;
        let addresses = addresses_of(&mut socket, index).map_err(failed("read addresses of"))?;
        let mut messages: Vec<_> = addresses
            .iter()
            .map(|cidr| links::delete_address(index, *cidr))
            .collect();
        messages.push(links::delete_link(index));
        Ok(Some(Self {
            socket,
            index,
            messages,
        }))
    }
}

/// Returns the bridges of ours in this network namespace.
pub fn list_marked() -> Result<Vec<MarkedBridge>, NetworkError> {
    let failed = |source| NetworkError::ReadRoutes { source };
    let mut socket = RouteSocket::open().map_err(failed)?;
    let answers = socket.dump(links::all_links()).map_err(failed)?;
    let marked = answers
        .iter()
        .filter_map(links::read_link)
        .filter(is_marked);
    Ok(marked
        .filter_map(|link| {
            Some(MarkedBridge {
                link: link.name,
                index: link.index,
                mark: link.alias?,
            })
        })
        .collect())
}

fn is_marked(link: &Link) -> bool {
    link.is_bridge
        && link
            .alias
            .as_deref()
            .is_some_and(|alias| alias.starts_with(MARK_PREFIX))
}

fn is_no_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENODEV)
}

fn link_error<'a>(act: &'static str, link: &'a str) -> impl Fn(io::Error) -> NetworkError + 'a {
    move |source| NetworkError::Link {
        act,
        link: link.to_owned(),
        source,
    }
}

/// A bridge is made down, marked, and switched on once it cannot be mistaken for a foreign one.
fn create(socket: &mut RouteSocket, config: &BridgeConfig) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(config.link.clone()),
        // Without one of its own, a bridge takes over and drops those of its ports.
        LinkAttribute::Address(bridge_mac(&config.mark).to_vec()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    message
        .attributes
        .extend(config.mtu.map(LinkAttribute::Mtu));
    let mut up = LinkMessage::default();
    up.header.flags = LinkFlags::Up;
    up.header.change_mask = LinkFlags::Up;
    up.attributes = vec![LinkAttribute::IfName(config.link.clone())];
    let messages = vec![
        RouteNetlinkMessage::NewLink(message),
        links::set_alias(0, Some(&config.link), &config.mark),
        RouteNetlinkMessage::SetLink(up),
    ];
    socket.request_all(messages)
}

fn bridge_mac(mark: &str) -> [u8; 6] {
    let hash = Sha256::digest(mark.as_bytes());
    let mut mac = [0x02, 0x42, 0, 0, 0, 0];
    mac[2..].copy_from_slice(&hash[..4]);
    mac
}

fn addresses_of(socket: &mut RouteSocket, index: u32) -> io::Result<Vec<Cidr>> {
    let all = socket.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let on_links = all.iter().filter_map(links::read_address);
    Ok(on_links
        .filter(|(link, _)| *link == index)
        .map(|(_, cidr)| cidr)
        .collect())
}

fn set_addresses(socket: &mut RouteSocket, index: u32, config: &BridgeConfig) -> io::Result<()> {
    let present = addresses_of(socket, index)?;
    let wanted: Vec<Cidr> = [config.gateway_v4, config.gateway_v6]
        .into_iter()
        .flatten()
        .collect();
    let stale = present.iter().filter(|cidr| !wanted.contains(cidr));
    let missing = wanted.iter().filter(|cidr| !present.contains(cidr));
    let messages = stale
        .map(|cidr| links::delete_address(index, *cidr))
        .chain(missing.map(|cidr| links::add_address(index, *cidr)))
        .collect();
    socket.request_all(messages)
}

/// Returns the gateway addresses that a bridge has, for what is to be reached on the host.
pub fn gateways(link: &str) -> Result<Vec<IpAddr>, NetworkError> {
    let failed = |act| link_error(act, link);
    let mut socket = RouteSocket::open().map_err(failed("open a socket for bridge"))?;
    let found = links::find(&mut socket, link).map_err(failed("look for bridge"))?;
    let Some(found) = found else {
        return Ok(Vec::new());
    };
    let addresses = addresses_of(&mut socket, found.index).map_err(failed("read addresses of"))?;
    Ok(addresses.iter().map(Cidr::address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_name_fits_and_differs() {
        let one = bridge_name("demo_default");
        links::check_link_name(&one).unwrap();
        assert_eq!(one.len(), 13);
        assert_ne!(one, bridge_name("demo_back"));
        assert_eq!(
            bridge_mark("0a1b", "demo", "default"),
            "consort:0a1b/demo/default"
        );
    }
}
