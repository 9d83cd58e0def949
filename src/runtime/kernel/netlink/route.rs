//! Requests about links, addresses and routes.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::runtime::kernel::clone::{CloneOptions, Cloned, spawn};
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::kernel::process;

use super::filter::FilterSocket;
use super::socket::{
    BUFFER_BYTES, Frame, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, Next,
    Socket,
};

/// `NLM_F_EXCL`: what is there already is an error.
const NLM_F_EXCL: u16 = 0x200;

/// `RTMGRP_LINK`: links that come, change and go.
const GROUP_LINKS: u32 = 1;
/// `RTM_DELLINK`.
const LINK_REMOVED: u16 = 17;

/// Hears which links go.
#[derive(Debug)]
pub struct LinkRemovals {
    socket: Socket,
}

impl LinkRemovals {
    /// Listens in the calling thread's network namespace, from now on.
    pub fn listen() -> io::Result<Self> {
        let socket = Socket::open(None)?;
        socket.subscribe(GROUP_LINKS)?;
        Ok(Self { socket })
    }

    /// Waits until the link with this number is out of everybody's sight, or `worker` has ended without
    /// that; returns whether it is gone.
    pub fn wait_for(&self, index: u32, worker: &Pidfd) -> io::Result<bool> {
        let mut buffer = vec![0; BUFFER_BYTES];
        // `struct ifinfomsg`: family, padding, type, and then the number.
        let mut look = |frame: &Frame<'_>| {
            let number = frame.payload.get(4..8);
            let is_it = frame.kind == LINK_REMOVED && number == Some(&index.to_ne_bytes()[..]);
            Ok(if is_it { Next::Done } else { Next::More })
        };
        loop {
            let mut sources = [
                PollFd::new(self.socket.fd(), PollFlags::IN),
                PollFd::new(worker, PollFlags::IN),
            ];
            match rustix::event::poll(&mut sources, None) {
                Err(Errno::INTR) => continue,
                polled => drop(polled?),
            }
            let [told, ended] = sources.map(|source| !source.revents().is_empty());
            if told && self.socket.receive_some(&mut buffer, &mut look)? == Next::Done {
                return Ok(true);
            }
            if ended && !told {
                return Ok(false);
            }
        }
    }
}

/// A socket for links, addresses and routes of the namespace in which it was opened.
#[derive(Debug)]
pub struct RouteSocket {
    socket: Socket,
}

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(None)?,
        })
    }

    /// Sends all messages at once and returns what became of each, in order.
    ///
    /// The kernel goes on after a message that failed.
    pub fn request(
        &mut self,
        messages: Vec<RouteNetlinkMessage>,
    ) -> io::Result<Vec<io::Result<()>>> {
        let count = messages.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        let mut first = None;
        for message in messages {
            let sequence = self.socket.next_sequence();
            first = first.or(Some(sequence));
            let flags = NLM_F_REQUEST | NLM_F_ACK | creation_flags(&message);
            append(&mut bytes, message, flags, sequence);
        }
        self.socket.send(&bytes)?;
        let first = first.unwrap_or(1);
        let mut verdicts = Vec::with_capacity(count);
        self.socket.receive(|frame| {
            let expected = first.wrapping_add(u32::try_from(verdicts.len()).unwrap_or(u32::MAX));
            if let Some(verdict) = frame.verdict().filter(|_| frame.sequence == expected) {
                verdicts.push(verdict);
            }
            Ok(if verdicts.len() == count {
                Next::Done
            } else {
                Next::More
            })
        })?;
        Ok(verdicts)
    }

    /// Has all messages sent by a process of its own, which ends when the kernel has done everything.
    ///
    /// `also` is closed there last: what the kernel does then is waited for there as well. The process
    /// holds nothing else of ours, and is our child.
    pub fn request_beside(
        mut self,
        messages: Vec<RouteNetlinkMessage>,
        also: Option<FilterSocket>,
    ) -> io::Result<Pidfd> {
        let mut bytes = Vec::new();
        for message in messages {
            let sequence = self.socket.next_sequence();
            append(&mut bytes, message, NLM_F_REQUEST, sequence);
        }
        let mut child = || match keep_only(self.socket.fd(), also.as_ref()) {
            Ok(()) => i32::from(rustix::io::write(rustix::stdio::stdin(), &bytes).is_err()),
            Err(_) => 1,
        };
        let options = CloneOptions {
            namespaces: Namespaces::empty(),
            cgroup: None,
        };
        let Cloned { pid, pidfd } = spawn(&options, &mut child)?;
        Ok(Pidfd::from_parts(pidfd, pid.as_raw_nonzero().get()))
    }

    /// Sends all messages at once; the first that failed is the error.
    pub fn request_all(&mut self, messages: Vec<RouteNetlinkMessage>) -> io::Result<()> {
        self.request(messages)?.into_iter().collect()
    }

    /// Asks for all objects of a kind.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_DUMP)
    }

    /// Asks for one object; one that is not there is the kernel's error.
    pub fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_ACK)
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let sequence = self.socket.next_sequence();
        let mut bytes = Vec::new();
        append(&mut bytes, message, NLM_F_REQUEST | flags, sequence);
        self.socket.send(&bytes)?;
        let mut found = Vec::new();
        self.socket.receive(|frame| {
            if frame.sequence != sequence {
                return Ok(Next::More);
            }
            if let Some(verdict) = frame.verdict() {
                return verdict.map(|()| Next::Done);
            }
            if frame.kind == NLMSG_DONE {
                return Ok(Next::Done);
            }
            // An object of a newer kernel that does not parse is not one that we made.
            if let Ok(NetlinkMessage {
                payload: NetlinkPayload::InnerMessage(inner),
                ..
            }) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(frame.whole)
            {
                found.push(inner);
            }
            Ok(Next::More)
        })?;
        Ok(found)
    }
}

/// Closes all descriptors of a child but these, which become the first ones.
fn keep_only(socket: &OwnedFd, also: Option<&FilterSocket>) -> Result<(), Errno> {
    process::duplicate_to(socket, 0)?;
    match also {
        Some(also) => {
            process::duplicate_to(&also.as_fd(), 1)?;
            process::close_from(2)
        }
        None => process::close_from(1),
    }
}

fn creation_flags(message: &RouteNetlinkMessage) -> u16 {
    let creates = matches!(
        message,
        RouteNetlinkMessage::NewLink(_)
            | RouteNetlinkMessage::NewAddress(_)
            | RouteNetlinkMessage::NewRoute(_)
    );
    if creates {
        NLM_F_CREATE | NLM_F_EXCL
    } else {
        0
    }
}

fn append(bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = bytes.len();
    bytes.resize(start + message.buffer_len(), 0);
    message.serialize(&mut bytes[start..]);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
