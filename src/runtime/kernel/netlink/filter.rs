//! Requests about the packet filter (`nf_tables`), in batches that the kernel applies whole or not at all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::netlink::NETFILTER;

use super::attributes::{AttributeReader, AttributeWriter};
use super::socket::{
    Frame, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, Next, Socket,
    close_frame, open_frame,
};

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_BATCH_GENID: u16 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETGEN: u16 = 16;
const NFTA_GEN_ID: u16 = 1;
const NFPROTO_UNSPEC: u8 = 0;
const FILTER_HEADER_BYTES: usize = 4;

/// The state of all tables at one moment; a batch can be bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u32);

/// Messages that take effect together.
#[derive(Debug, Default, Clone)]
pub struct FilterBatch {
    messages: Vec<FilterMessage>,
}

#[derive(Debug, Clone)]
struct FilterMessage {
    kind: u16,
    flags: u16,
    family: u8,
    attributes: AttributeWriter,
}

impl FilterBatch {
    /// Starts with no message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports whether the batch would change nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds a message that creates something; what is there already stays.
    pub fn create(&mut self, kind: u16, family: u8, attributes: AttributeWriter) {
        self.push(kind, NLM_F_CREATE, family, attributes);
    }

    /// Adds a message with flags of its own, beside those of every request.
    pub fn push(&mut self, kind: u16, flags: u16, family: u8, attributes: AttributeWriter) {
        self.messages.push(FilterMessage {
            kind,
            flags,
            family,
            attributes,
        });
    }
}

/// A socket for the packet filter of the namespace in which it was opened.
#[derive(Debug)]
pub struct FilterSocket {
    socket: Socket,
}

impl AsFd for FilterSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd().as_fd()
    }
}

impl FilterSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(Some(NETFILTER))?,
        })
    }

    /// Applies a batch, whole or not at all.
    ///
    /// With a `generation`, it is refused with `ERESTART` when anything changed since then.
    pub fn commit(&mut self, batch: &FilterBatch, at: Option<Generation>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let begin = self.socket.next_sequence();
        let generation = AttributeWriter::new();
        let generation = match at {
            Some(Generation(id)) => generation.number(NFNL_BATCH_GENID, id),
            None => generation,
        };
        append(
            &mut bytes,
            (NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, begin),
            &generation,
        );
        let mut last = begin;
        for (index, message) in batch.messages.iter().enumerate() {
            last = self.socket.next_sequence();
            // The last one's acknowledgement says that all verdicts have arrived.
            let ack = if index + 1 == batch.messages.len() {
                NLM_F_ACK
            } else {
                0
            };
            append_message(&mut bytes, message, ack, last);
        }
        let end = self.socket.next_sequence();
        append(
            &mut bytes,
            (NFNL_MSG_BATCH_END, NLM_F_REQUEST, end),
            &AttributeWriter::new(),
        );
        self.socket.send(&bytes)?;
        self.verdict(begin, last)
    }

    fn verdict(&mut self, begin: u32, last: u32) -> io::Result<()> {
        let mut failure = None;
        self.socket.receive(|frame| {
            let Some(verdict) = frame.verdict().filter(|_| frame.sequence >= begin) else {
                return Ok(Next::More);
            };
            if let (Err(error), None) = (verdict, &failure) {
                failure = Some(error);
            }
            let over = frame.sequence == begin || frame.sequence >= last;
            Ok(if over { Next::Done } else { Next::More })
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Returns the current generation of all tables.
    pub fn generation(&mut self) -> io::Result<Generation> {
        let mut id = None;
        let attributes = AttributeWriter::new();
        self.ask((NFT_MSG_GETGEN, NFPROTO_UNSPEC, 0), &attributes, |answer| {
            let found = answer.clone().find_kind(NFTA_GEN_ID);
            id = found.and_then(|attribute| attribute.value.try_into().ok());
        })?;
        let id = id.ok_or_else(|| io::Error::other("the kernel named no generation"))?;
        Ok(Generation(u32::from_be_bytes(id)))
    }

    /// Asks for one object; a missing one is an error of the kernel.
    pub fn get(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &AttributeWriter,
        each: impl FnMut(&AttributeReader<'_>),
    ) -> io::Result<()> {
        self.ask((kind, family, NLM_F_ACK), attributes, each)
    }

    /// Asks for all objects of a kind.
    pub fn dump(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &AttributeWriter,
        each: impl FnMut(&AttributeReader<'_>),
    ) -> io::Result<()> {
        self.ask((kind, family, NLM_F_DUMP), attributes, each)
    }

    fn ask(
        &mut self,
        (kind, family, flags): (u16, u8, u16),
        attributes: &AttributeWriter,
        mut each: impl FnMut(&AttributeReader<'_>),
    ) -> io::Result<()> {
        let sequence = self.socket.next_sequence();
        let mut bytes = Vec::new();
        let message = FilterMessage {
            kind,
            flags,
            family,
            attributes: attributes.clone(),
        };
        append_message(&mut bytes, &message, 0, sequence);
        self.socket.send(&bytes)?;
        self.socket.receive(|frame: &Frame<'_>| {
            if frame.sequence != sequence {
                return Ok(Next::More);
            }
            if let Some(verdict) = frame.verdict() {
                return verdict.map(|()| Next::Done);
            }
            if frame.kind == NLMSG_DONE {
                return Ok(Next::Done);
            }
            let answer = frame.payload.get(FILTER_HEADER_BYTES..).unwrap_or(&[]);
            each(&AttributeReader::new(answer));
            Ok(if flags == 0 { Next::Done } else { Next::More })
        })
    }
}

fn append_message(bytes: &mut Vec<u8>, message: &FilterMessage, ack: u16, sequence: u32) {
    let kind = (NFNL_SUBSYS_NFTABLES << 8) | message.kind;
    let start = open_frame(bytes, kind, NLM_F_REQUEST | message.flags | ack, sequence);
    bytes.extend_from_slice(&[message.family, 0, 0, 0]);
    bytes.extend_from_slice(message.attributes.as_bytes());
    close_frame(bytes, start);
}

fn append(
    bytes: &mut Vec<u8>,
    (kind, flags, sequence): (u16, u16, u32),
    attributes: &AttributeWriter,
) {
    let start = open_frame(bytes, kind, flags, sequence);
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    bytes.extend_from_slice(&[NFPROTO_UNSPEC, 0, high, low]);
    bytes.extend_from_slice(attributes.as_bytes());
    close_frame(bytes, start);
}
