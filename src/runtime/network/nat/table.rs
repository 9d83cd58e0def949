//! The table `inet consort`: what it is made of, and what it holds.

use std::collections::BTreeSet;
use std::io;

use crate::runtime::kernel::netlink::{
    AttributeReader, AttributeWriter, FilterBatch, FilterSocket, Generation,
};

use super::expression::{
    DELETE_ELEMENTS, DELETE_RULE, DELETE_TABLE, FAMILY_INET, FAMILY_IPV4, FAMILY_IPV6, GET_CHAIN,
    GET_ELEMENTS, GET_RULE, HOOK_FORWARD, HOOK_POSTROUTING, Member, NEW_CHAIN, NEW_ELEMENTS,
    NEW_RULE, NEW_SET, NEW_TABLE, Rule, Side, Verdict, data,
};
use super::{Egress, NatNetwork, is_missing};

pub(super) const TABLE: &str = "consort";
const FORWARD: &str = "forward";
const POSTROUTING: &str = "postrouting";
pub(super) const BRIDGES: &str = "bridges";
const INTERNAL: &str = "internal";
const SAME: &str = "same";
const CLOSED_IPV4: &str = "closed_ipv4";
const CLOSED_IPV6: &str = "closed_ipv6";

/// `NLM_F_APPEND`: rules come in the order in which they are sent.
const NLM_F_CREATE_APPEND: u16 = 0x400 | 0x800;
const IFNAME_BYTES: usize = 16;
/// The number by which `nft` knows that a set holds names of interfaces.
const TYPE_IFNAME: u32 = 41;
const TYPE_BITS: u32 = 6;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SOURCE_NAT: i32 = 100;

/// The links of the machine between which nothing passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) ipv4: BTreeSet<String>,
    pub(super) ipv6: BTreeSet<String>,
}

/// Returns the batch that makes the table as it must be and adds these networks.
pub(super) fn setup(networks: &[NatNetwork], closed: &Closed) -> FilterBatch {
    let mut batch = FilterBatch::new();
    batch.create(
        NEW_TABLE,
        FAMILY_INET,
        AttributeWriter::new().text(1, TABLE),
    );
    let pair = (TYPE_IFNAME << TYPE_BITS) | TYPE_IFNAME;
    add_set(&mut batch, (BRIDGES, 1), TYPE_IFNAME, IFNAME_BYTES);
    add_set(&mut batch, (INTERNAL, 2), TYPE_IFNAME, IFNAME_BYTES);
    add_set(&mut batch, (SAME, 3), pair, 2 * IFNAME_BYTES);
    add_set(&mut batch, (CLOSED_IPV4, 4), TYPE_IFNAME, IFNAME_BYTES);
    add_set(&mut batch, (CLOSED_IPV6, 5), TYPE_IFNAME, IFNAME_BYTES);
    add_chain(
        &mut batch,
        TABLE,
        FORWARD,
        ("filter", HOOK_FORWARD, PRIORITY_FILTER),
    );
    add_chain(
        &mut batch,
        TABLE,
        POSTROUTING,
        ("nat", HOOK_POSTROUTING, PRIORITY_SOURCE_NAT),
    );
    for (chain, rules) in chains() {
        // Out and in again in one step: what is there is as it should be, whoever changed it.
        let whole_chain = AttributeWriter::new().text(1, TABLE).text(2, chain);
        batch.push(DELETE_RULE, 0, FAMILY_INET, whole_chain);
        for rule in &rules {
            add_rule(&mut batch, TABLE, chain, rule);
        }
    }
    for (set, links) in [(CLOSED_IPV4, &closed.ipv4), (CLOSED_IPV6, &closed.ipv6)] {
        let whole_set = AttributeWriter::new().text(1, TABLE).text(2, set);
        batch.push(DELETE_ELEMENTS, 0, FAMILY_INET, whole_set);
        for link in links {
            batch.create(NEW_ELEMENTS, FAMILY_INET, element(set, &key_of(link)));
        }
    }
    for network in networks {
        let link = network.link.as_str();
        for (set, key) in elements_of(link, network.egress) {
            batch.create(NEW_ELEMENTS, FAMILY_INET, element(set, &key));
        }
    }
    batch
}

/// Returns the batch that removes the table.
pub(super) fn teardown() -> FilterBatch {
    let mut batch = FilterBatch::new();
    batch.push(
        DELETE_TABLE,
        0,
        FAMILY_INET,
        AttributeWriter::new().text(1, TABLE),
    );
    batch
}

fn chains() -> [(&'static str, Vec<Rule>); 2] {
    let rule = Rule::new;
    let closed = |family, set| {
        rule()
            .family(family)
            .link(Side::In, Member::Yes, set)
            .link(Side::Out, Member::Yes, set)
            .verdict(Verdict::Drop)
    };
    let forward = vec![
        rule().both_links(SAME).verdict(Verdict::Accept),
        rule()
            .link(Side::In, Member::Yes, BRIDGES)
            .link(Side::Out, Member::Yes, BRIDGES)
            .verdict(Verdict::Drop),
        rule()
            .link(Side::In, Member::Yes, INTERNAL)
            .verdict(Verdict::Drop),
        rule()
            .link(Side::Out, Member::Yes, INTERNAL)
            .verdict(Verdict::Drop),
        rule()
            .link(Side::Out, Member::Yes, BRIDGES)
            .known_connection()
            .verdict(Verdict::Accept),
        rule()
            .link(Side::Out, Member::Yes, BRIDGES)
            .led_connection()
            .verdict(Verdict::Accept),
        rule()
            .link(Side::Out, Member::Yes, BRIDGES)
            .verdict(Verdict::Drop),
        closed(FAMILY_IPV4, CLOSED_IPV4),
        closed(FAMILY_IPV6, CLOSED_IPV6),
    ];
    let postrouting = vec![
        rule()
            .link(Side::In, Member::Yes, BRIDGES)
            .link(Side::Out, Member::No, BRIDGES)
            .masquerade(),
    ];
    [(FORWARD, forward), (POSTROUTING, postrouting)]
}

/// Reports whether the table is whole, holds these networks, and closes these links.
pub(super) fn holds(
    socket: &mut FilterSocket,
    networks: &[NatNetwork],
    closed: &Closed,
) -> io::Result<bool> {
    let mut found = Vec::new();
    let in_table = AttributeWriter::new().text(1, TABLE);
    socket.dump(GET_RULE, FAMILY_INET, &in_table, |rule| {
        found.extend(rule.clone().find_kind(2).map(|chain| chain.value.to_vec()));
    })?;
    let is_whole = chains().iter().all(|(chain, rules)| {
        let own = |name: &&Vec<u8>| name.strip_suffix(b"\0") == Some(chain.as_bytes());
        found.iter().filter(own).count() == rules.len()
    });
    if !is_whole {
        return Ok(false);
    }
    let now_closed = Closed {
        ipv4: members(socket, CLOSED_IPV4)?,
        ipv6: members(socket, CLOSED_IPV6)?,
    };
    if now_closed != *closed {
        return Ok(false);
    }
    let bridges = members(socket, BRIDGES)?;
    let internal = members(socket, INTERNAL)?;
    Ok(networks.iter().all(|network| {
        let is_internal = network.egress == Egress::Internal;
        bridges.contains(&network.link) && internal.contains(&network.link) == is_internal
    }))
}

/// Returns the bridges that the table holds.
pub(super) fn bridges(socket: &mut FilterSocket) -> io::Result<BTreeSet<String>> {
    members(socket, BRIDGES)
}

/// Takes bridges out of every set that has them.
///
/// Only those: a batch with one element too many is undone, and the kernel waits for readers then.
pub(super) fn remove_elements(
    socket: &mut FilterSocket,
    links: &[String],
    at: Generation,
) -> io::Result<()> {
    let (bridges, internal) = (members(socket, BRIDGES)?, members(socket, INTERNAL)?);
    let mut batch = FilterBatch::new();
    for link in links.iter().filter(|link| bridges.contains(*link)) {
        let egress = if internal.contains(link) {
            Egress::Internal
        } else {
            Egress::Masquerade
        };
        for (set, key) in elements_of(link, egress) {
            batch.push(DELETE_ELEMENTS, 0, FAMILY_INET, element(set, &key));
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    socket.commit(&batch, Some(at))
}

/// Names another program's chain that drops everything forwarded that it does not know.
pub(super) fn foreign_drop(socket: &mut FilterSocket) -> Option<String> {
    let mut policy = None;
    let chain = AttributeWriter::new().text(1, "filter").text(3, "FORWARD");
    let asked = socket.get(GET_CHAIN, FAMILY_IPV4, &chain, |answer| {
        policy = answer
            .clone()
            .find_kind(5)
            .and_then(|found| found.value.try_into().ok());
    });
    let drops = asked.is_ok() && policy.map(u32::from_be_bytes) == Some(Verdict::Drop as u32);
    drops.then(|| "ip filter FORWARD".to_owned())
}

fn members(socket: &mut FilterSocket, set: &str) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let of_set = AttributeWriter::new().text(1, TABLE).text(2, set);
    let asked = socket.dump(GET_ELEMENTS, FAMILY_INET, &of_set, |answer| {
        found.extend(read_members(answer));
    });
    match asked {
        Err(error) if is_missing(&error) => Ok(BTreeSet::new()),
        Err(error) => Err(error),
        Ok(()) => Ok(found),
    }
}

fn read_members(answer: &AttributeReader<'_>) -> Vec<String> {
    let Some(list) = answer.clone().find_kind(3) else {
        return Vec::new();
    };
    let names = list.nested().filter_map(|element| {
        let key = element.nested().find_kind(1)?;
        let value = key.nested().find_kind(1)?.value;
        let end = value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(value.len());
        Some(String::from_utf8_lossy(value.get(..end)?).into_owned())
    });
    names.collect()
}

fn elements_of(link: &str, egress: Egress) -> Vec<(&'static str, Vec<u8>)> {
    let name = key_of(link);
    let mut elements = vec![
        (BRIDGES, name.clone()),
        (SAME, [name.clone(), name.clone()].concat()),
    ];
    if egress == Egress::Internal {
        elements.push((INTERNAL, name));
    }
    elements
}

/// Returns a link's name as sets hold it.
fn key_of(link: &str) -> Vec<u8> {
    let mut name = link.as_bytes().to_vec();
    name.resize(IFNAME_BYTES, 0);
    name
}

fn element(set: &str, key: &[u8]) -> AttributeWriter {
    let one = AttributeWriter::new().nest(1, &data(key));
    let list = AttributeWriter::new().nest(1, &one);
    AttributeWriter::new()
        .text(1, TABLE)
        .text(2, set)
        .nest(3, &list)
}

fn add_set(batch: &mut FilterBatch, (name, id): (&str, u32), key_type: u32, key_bytes: usize) {
    let key_bytes = u32::try_from(key_bytes).unwrap_or(u32::MAX);
    let attributes = AttributeWriter::new()
        .text(1, TABLE)
        .text(2, name)
        .number(3, 0)
        .number(4, key_type)
        .number(5, key_bytes)
        .number(10, id);
    batch.create(NEW_SET, FAMILY_INET, attributes);
}

/// Adds a chain that packets pass at a hook, and go on from unless a rule says otherwise.
pub(super) fn add_chain(
    batch: &mut FilterBatch,
    table: &str,
    name: &str,
    (kind, hook, priority): (&str, u32, i32),
) {
    let place = AttributeWriter::new()
        .number(1, hook)
        .number(2, priority.cast_unsigned());
    let attributes = AttributeWriter::new()
        .text(1, table)
        .text(3, name)
        .nest(4, &place)
        .number(5, Verdict::Accept as u32)
        .text(7, kind);
    batch.create(NEW_CHAIN, FAMILY_INET, attributes);
}

pub(super) fn add_rule(batch: &mut FilterBatch, table: &str, chain: &str, rule: &Rule) {
    let attributes = AttributeWriter::new()
        .text(1, table)
        .text(2, chain)
        .nest(4, rule.expressions());
    batch.push(NEW_RULE, NLM_F_CREATE_APPEND, FAMILY_INET, attributes);
}
