//! One question into the answer, or the decision to ask the host's resolvers; pure.
//!
//! Questions come from containers and are hostile input: they are parsed by a library that bounds
//! name compression, and anything that is not one plain question is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::NameTable;
use super::table::Owner;

/// Short, so that a client that keeps answers follows a container that was replaced.
const TTL_SECONDS: u32 = 5;
/// What every client of DNS over UDP can take.
const PLAIN_UDP_BYTES: u16 = 512;
/// The largest datagram that is sent or taken, whatever the client says it can take.
const LARGEST_UDP_BYTES: u16 = 4096;
/// What the length in front of an answer over TCP can say.
const LARGEST_TCP_BYTES: usize = u16::MAX as usize;
/// What stands before the address in one answer: 2 name (compressed), 2 type, 2 class, 4 TTL, 2 length.
const ANSWER_HEADER_BYTES: usize = 12;
const HEADER_BYTES: usize = 12;

/// How a question came, and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The bytes as they came.
    pub bytes: &'a [u8],
    /// Whether the answer must fit into a datagram.
    pub over: Transport,
    /// Whether other names may be asked for outside.
    pub outside: Outside,
    /// Counts questions, so that replicas take turns.
    pub turn: usize,
}

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// Whether the container has a way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Names that we do not know go to the host's resolvers.
    Ask,
    /// They do not exist: all of its networks are internal.
    Never,
}

/// What to do with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this back.
    Reply(Vec<u8>),
    /// Ask the host's resolvers.
    Forward,
    /// Say nothing: it is no question.
    Ignore,
}

/// Decides what to do with one question.
pub fn decide(question: &Question<'_>, table: &NameTable) -> Answer {
    if question.bytes.len() < HEADER_BYTES || question.bytes[2] & 0x80 != 0 {
        // Answering an answer is how two servers are made to talk for ever.
        return Answer::Ignore;
    }
    let Ok(message) = Message::from_vec(question.bytes) else {
        return failure(question.bytes, ResponseCode::FormErr);
    };
    let plain = message.metadata.message_type == MessageType::Query;
    if !plain || message.metadata.op_code != OpCode::Query {
        return failure(question.bytes, ResponseCode::NotImp);
    }
    let [query] = message.queries.as_slice() else {
        return failure(question.bytes, ResponseCode::FormErr);
    };
    if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return reply(&message, question, ResponseCode::BADVERS, Vec::new());
    }
    match local_answer(query, table, question) {
        Local::Records(records) => reply(&message, question, ResponseCode::NoError, records),
        Local::Unknown if question.outside == Outside::Ask => Answer::Forward,
        Local::NoSuchName | Local::Unknown => {
            reply(&message, question, ResponseCode::NXDomain, Vec::new())
        }
    }
}

/// Returns the answer "this server failed" to a question.
pub(in crate::runtime::network) fn server_failure(question: &[u8]) -> Answer {
    failure(question, ResponseCode::ServFail)
}

enum Local {
    Records(Vec<Record>),
    NoSuchName,
    Unknown,
}

fn local_answer(query: &Query, table: &NameTable, question: &Question<'_>) -> Local {
    if query.query_class() != DNSClass::IN {
        return Local::Unknown;
    }
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    if let Some(address) = reverse_address(name) {
        return match table.owner(address) {
            Owner::Container(owner) => Local::Records(ptr_record(query, &owner)),
            Owner::Nobody => Local::NoSuchName,
            Owner::Elsewhere => Local::Unknown,
        };
    }
    let Some(addresses) = table.addresses(name) else {
        return Local::Unknown;
    };
    let wanted = query.query_type();
    let data: Vec<RData> = addresses
        .into_iter()
        .filter(|ip| {
            let own_kind = if ip.is_ipv4() {
                RecordType::A
            } else {
                RecordType::AAAA
            };
            wanted == own_kind || wanted == RecordType::ANY
        })
        .map(|ip| match ip {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        })
        .collect();
    let mut records: Vec<Record> = data
        .into_iter()
        .map(|data| Record::from_rdata(query.name().clone(), TTL_SECONDS, data))
        .collect();
    if !records.is_empty() {
        let first = question.turn % records.len();
        records.rotate_left(first);
    }
    Local::Records(records)
}

fn ptr_record(query: &Query, owner: &str) -> Vec<Record> {
    if query.query_type() != RecordType::PTR && query.query_type() != RecordType::ANY {
        return Vec::new();
    }
    let target = Name::from_ascii(format!("{owner}."));
    let data = target.map(|name| RData::PTR(PTR(name)));
    let record = data.map(|data| Record::from_rdata(query.name().clone(), TTL_SECONDS, data));
    record.into_iter().collect()
}

fn reply(
    message: &Message,
    question: &Question<'_>,
    code: ResponseCode,
    mut records: Vec<Record>,
) -> Answer {
    let mut answer = Message::response(message.metadata.id, OpCode::Query);
    answer.metadata.response_code = code;
    answer.metadata.recursion_desired = message.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(message.queries.iter().cloned());
    if message.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_UDP_BYTES);
        edns.set_rcode_high(code.high());
        answer.set_edns(edns);
    }
    let Ok(empty) = answer.to_vec() else {
        return Answer::Ignore;
    };
    let fitting = fitting(
        &records,
        room(message, question).saturating_sub(empty.len()),
    );
    if fitting < records.len() {
        // The client asks again over TCP; one that does not has some of the addresses, in turns.
        answer.metadata.truncation = true;
        records.truncate(fitting);
    }
    answer.insert_answers(records);
    answer.to_vec().map_or(Answer::Ignore, Answer::Reply)
}

/// Returns how long an answer may be.
fn room(message: &Message, question: &Question<'_>) -> usize {
    match question.over {
        Transport::Udp => {
            let told = message.edns.as_ref().map_or(0, Edns::max_payload);
            usize::from(told.clamp(PLAIN_UDP_BYTES, LARGEST_UDP_BYTES))
        }
        Transport::Tcp => LARGEST_TCP_BYTES,
    }
}

/// Returns how many of the first records fit into so many bytes.
fn fitting(records: &[Record], mut room: usize) -> usize {
    let mut fits = |record: &&Record| {
        let Some(ip) = record.data.ip_addr() else {
            // A name; the only record of its answer.
            return true;
        };
        let bytes = ANSWER_HEADER_BYTES + if ip.is_ipv4() { 4 } else { 16 };
        let is_fitting = bytes <= room;
        room = room.saturating_sub(bytes);
        is_fitting
    };
    records.iter().take_while(|record| fits(record)).count()
}

/// Answers with a code alone; the question is not repeated, since it may not parse.
fn failure(question: &[u8], code: ResponseCode) -> Answer {
    let Some(id) = question.first_chunk::<2>() else {
        return Answer::Ignore;
    };
    let answer = Message::error_msg(u16::from_be_bytes(*id), OpCode::Query, code);
    answer.to_vec().map_or(Answer::Ignore, Answer::Reply)
}

/// Reads `2.0.18.172.in-addr.arpa` and its IPv6 form; `None` for every other name.
fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0_u8; 4];
        let mut parts = labels.rsplit('.');
        for octet in &mut octets {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts
            .next()
            .is_none()
            .then(|| IpAddr::V4(Ipv4Addr::from(octets)));
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for label in labels.rsplit('.') {
        let digit = u8::from_str_radix(label, 16)
            .ok()
            .filter(|_| label.len() == 1)?;
        bits = (bits << 4) | u128::from(digit);
        count += 1;
    }
    (count == 32).then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests;
