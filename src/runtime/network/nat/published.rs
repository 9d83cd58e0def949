//! Published ports in the kernel: a connection to an address of the machine is led to a container before any
//! program of the machine sees it, so that the container sees the client's own address.
//!
//! ```text
//! table inet consort
//!   map published     protocol . port            : container's address . port
//!   map published_at  address . protocol . port  : container's address . port
//!   chain prerouting (nat)
//!     not from a bridge, to an address of the machine   dnat by `published_at`, then by `published`
//! ```
//!
//! Each element has the id of its container as its comment: that is how those of a container whose monitor
//! was killed are found. The chain and the maps are made with the first port and go with the table. What the
//! kernel cannot do here, such as on one without `fib`, the monitor's proxy does.
//!
//! **Invariant:** only TCP over IPv4 is led by the kernel. A client of UDP that goes on sending would keep the
//! kernel's memory of a container that is gone.

use std::io;
use std::net::SocketAddrV4;

use crate::runtime::kernel::netlink::{
    AttributeReader, AttributeWriter, FilterBatch, FilterSocket,
};
use crate::runtime::network::NetworkError;

use super::Settling;
use super::expression::{
    DELETE_ELEMENTS, FAMILY_INET, FAMILY_IPV4, GET_ELEMENTS, HOOK_PREROUTING, KeyParts, Member,
    NEW_ELEMENTS, NEW_SET, Rule, Side, data,
};
use super::table::{BRIDGES, TABLE, add_chain, add_rule, foreign_drop};
use super::{is_missing, is_unsupported};

const CHAIN: &str = "prerouting";
const PUBLISHED: &str = "published";
const PUBLISHED_AT: &str = "published_at";
const PRIORITY_DESTINATION_NAT: i32 = -100;
const PROTOCOL_TCP: u8 = 6;
const FLAG_MAP: u32 = 8;
/// The numbers by which `nft` knows what keys and values consist of.
const TYPE_IPV4: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_SERVICE: u32 = 13;
const TYPE_BITS: u32 = 6;
const WORD_BYTES: u32 = 4;
/// How often a change is tried that others get ahead of.
const ATTEMPTS: usize = 16;

/// A port of the machine that the kernel leads to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedPort {
    /// The machine's address, or `0.0.0.0` for all of them, and port.
    pub host: SocketAddrV4,
    /// The container's address and port.
    pub target: SocketAddrV4,
}

/// An element of one of the maps.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    map: &'static str,
    key: Vec<u8>,
    owner: String,
}

/// Lets the kernel lead exactly these ports to the container with this id, and none where `ports` is empty.
///
/// A machine where that cannot be is no error: nothing is led there.
pub fn lead_ports(owner: &str, ports: &[LedPort]) -> Result<Settling, NetworkError> {
    let Ok(mut socket) = FilterSocket::open() else {
        return Ok(Settling(None));
    };
    for _ in 0..ATTEMPTS {
        match change(&mut socket, owner, ports) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ERESTART) => {}
            Err(error) if is_missing(&error) || is_unsupported(&error) => break,
            Err(source) => {
                let act = "change which ports the kernel leads to containers";
                return Err(NetworkError::Filter { act, source });
            }
            Ok(()) => break,
        }
    }
    Ok(Settling(Some(socket)))
}

fn change(socket: &mut FilterSocket, owner: &str, ports: &[LedPort]) -> io::Result<()> {
    let generation = socket.generation()?;
    let (there, are_made) = match elements(socket) {
        Ok(there) => (there, true),
        Err(error) if is_missing(&error) => (Vec::new(), false),
        Err(error) => return Err(error),
    };
    // What would be dropped afterwards is better left to the proxy.
    let ports = if !ports.is_empty() && foreign_drop(socket).is_some() {
        &[]
    } else {
        ports
    };
    let wanted: Vec<(Element, &LedPort)> = ports
        .iter()
        .map(|port| (wanted(owner, port), port))
        .collect();
    let mut batch = FilterBatch::new();
    // The container that is found under a wanted key is gone: the port is ours to listen on.
    let is_wanted = |one: &Element| {
        wanted
            .iter()
            .any(|(other, _)| (other.map, &other.key) == (one.map, &one.key))
    };
    for one in there
        .iter()
        .filter(|one| one.owner == owner || is_wanted(one))
    {
        batch.push(DELETE_ELEMENTS, 0, FAMILY_INET, element(one, None));
    }
    if !wanted.is_empty() && !are_made {
        make(&mut batch);
    }
    for (one, port) in &wanted {
        batch.create(NEW_ELEMENTS, FAMILY_INET, element(one, Some(port.target)));
    }
    if batch.is_empty() {
        return Ok(());
    }
    socket.commit(&batch, Some(generation))
}

/// Adds the maps and the chain that asks them.
fn make(batch: &mut FilterBatch) {
    let port = (TYPE_PROTOCOL << TYPE_BITS) | TYPE_SERVICE;
    let at = (((TYPE_IPV4 << TYPE_BITS) | TYPE_PROTOCOL) << TYPE_BITS) | TYPE_SERVICE;
    for (id, name, key_type, words) in [(1, PUBLISHED, port, 2), (2, PUBLISHED_AT, at, 3)] {
        let map = AttributeWriter::new()
            .text(1, TABLE)
            .text(2, name)
            .number(3, FLAG_MAP)
            .number(4, key_type)
            .number(5, words * WORD_BYTES)
            .number(6, (TYPE_IPV4 << TYPE_BITS) | TYPE_SERVICE)
            .number(7, 2 * WORD_BYTES)
            .number(10, id);
        batch.create(NEW_SET, FAMILY_INET, map);
    }
    let place = ("nat", HOOK_PREROUTING, PRIORITY_DESTINATION_NAT);
    add_chain(batch, TABLE, CHAIN, place);
    for (map, key) in [
        (PUBLISHED_AT, KeyParts::AddressAndPort),
        (PUBLISHED, KeyParts::Port),
    ] {
        // Containers reach published ports by the proxy: networks are kept apart.
        let rule = Rule::new()
            .family(FAMILY_IPV4)
            .link(Side::In, Member::No, BRIDGES)
            .local_destination()
            .lead_by(map, key);
        add_rule(batch, TABLE, CHAIN, &rule);
    }
}

fn wanted(owner: &str, port: &LedPort) -> Element {
    let mut key = Vec::new();
    let map = if port.host.ip().is_unspecified() {
        PUBLISHED
    } else {
        key.extend(port.host.ip().octets());
        PUBLISHED_AT
    };
    key.extend([PROTOCOL_TCP, 0, 0, 0]);
    key.extend(port.host.port().to_be_bytes());
    key.extend([0, 0]);
    Element {
        map,
        key,
        owner: owner.to_owned(),
    }
}

/// Returns an element as the kernel takes it, with its value or, to remove it, without.
fn element(one: &Element, target: Option<SocketAddrV4>) -> AttributeWriter {
    const COMMENT: u8 = 0;
    let mut writer = AttributeWriter::new().nest(1, &data(&one.key));
    if let Some(target) = target {
        let mut value = target.ip().octets().to_vec();
        value.extend(target.port().to_be_bytes());
        value.extend([0, 0]);
        let length = u8::try_from(one.owner.len() + 1).unwrap_or(u8::MAX);
        let mut comment = vec![COMMENT, length];
        comment.extend(one.owner.bytes().take(usize::from(u8::MAX) - 1));
        comment.push(0);
        writer = writer.nest(2, &data(&value)).bytes(6, &comment);
    }
    let list = AttributeWriter::new().nest(1, &writer);
    AttributeWriter::new()
        .text(1, TABLE)
        .text(2, one.map)
        .nest(3, &list)
}

/// Returns the elements of both maps; maps that are not there are an error.
fn elements(socket: &mut FilterSocket) -> io::Result<Vec<Element>> {
    let mut found = Vec::new();
    for map in [PUBLISHED, PUBLISHED_AT] {
        let of_map = AttributeWriter::new().text(1, TABLE).text(2, map);
        socket.dump(GET_ELEMENTS, FAMILY_INET, &of_map, |answer| {
            found.extend(read_elements(map, answer));
        })?;
    }
    Ok(found)
}

fn read_elements(map: &'static str, answer: &AttributeReader<'_>) -> Vec<Element> {
    let Some(list) = answer.clone().find_kind(3) else {
        return Vec::new();
    };
    let elements = list.nested().filter_map(|element| {
        let key = element.nested().find_kind(1)?;
        let key = key.nested().find_kind(1)?.value.to_vec();
        let comment = element.nested().find_kind(6);
        let owner = comment.and_then(|comment| comment.value.get(2..));
        let owner = owner.map(|text| {
            String::from_utf8_lossy(text)
                .trim_end_matches('\0')
                .to_owned()
        });
        Some(Element {
            map,
            key,
            owner: owner.unwrap_or_default(),
        })
    });
    elements.collect()
}
