//! Questions that the host's resolvers must answer, from sockets of the host's network namespace.
//!
//! Each question has a fresh socket, and so a port that nobody can guess, a random number of its own,
//! and a connection that only its resolver can answer on; the answer must repeat the question.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{RecvFlags, SendFlags, connect, recv, send};

use crate::runtime::network::names::Transport;
use crate::runtime::network::publish::{HostSockets, Protocol, SocketFamily};
use crate::runtime::network::serve::reactor::{Reactor, Token, Wake};

use super::Asker;

/// Questions under way at a time; more are told that the server failed.
const PENDING_LIMIT: usize = 128;
/// How long one resolver may take before the next is asked.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long all of them may take together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_BYTES: usize = 12;
/// What follows the name in a question: type and class.
const TYPE_AND_CLASS_BYTES: usize = 4;
const ANSWER_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Pending {
    asker: Asker,
    /// As it came, with the asker's own number.
    question: Vec<u8>,
    /// The number under which we asked.
    number: [u8; 2],
    resolver: usize,
    socket: OwnedFd,
    /// What has arrived over a stream.
    input: Vec<u8>,
    sent: bool,
    asked: Instant,
    next_try: Instant,
    deadline: Instant,
}

/// The numbers only grow; a late event for an old one finds nothing.
#[derive(Debug)]
pub(super) struct Forwarder {
    resolvers: Vec<SocketAddr>,
    host: HostSockets,
    pending: BTreeMap<u32, Pending>,
    next_id: u32,
}

impl Forwarder {
    pub(super) fn new(resolvers: Vec<SocketAddr>, host: HostSockets) -> Self {
        Self {
            resolvers,
            host,
            pending: BTreeMap::new(),
            next_id: 0,
        }
    }

    pub(super) fn set_resolvers(&mut self, resolvers: Vec<SocketAddr>) {
        self.resolvers = resolvers;
        self.pending.clear();
    }

    pub(super) fn has_resolvers(&self) -> bool {
        !self.resolvers.is_empty()
    }

    /// Passes a question on to the first resolver that can be asked.
    pub(super) fn ask(
        &mut self,
        question: &[u8],
        asker: Asker,
        now: Instant,
        reactor: &Reactor,
    ) -> io::Result<()> {
        if self.pending.len() >= PENDING_LIMIT || question_section(question).is_none() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let deadline = now + ANSWER_TIMEOUT;
        self.try_from(0, (id, question.to_vec(), asker, deadline), now, reactor)
    }

    fn try_from(
        &mut self,
        first: usize,
        (id, question, asker, deadline): (u32, Vec<u8>, Asker, Instant),
        now: Instant,
        reactor: &Reactor,
    ) -> io::Result<()> {
        let mut failure = io::ErrorKind::NotFound.into();
        for resolver in first..self.resolvers.len() {
            match self.open(id, asker, self.resolvers[resolver], reactor) {
                Ok(socket) => {
                    let mut pending = Pending {
                        asker,
                        question,
                        number: random_number()?,
                        resolver,
                        socket,
                        input: Vec::new(),
                        sent: false,
                        asked: now,
                        next_try: deadline.min(now + RESOLVER_TIMEOUT),
                        deadline,
                    };
                    if asker.transport() == Transport::Udp {
                        pending.send()?;
                    }
                    self.pending.insert(id, pending);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn open(
        &self,
        id: u32,
        asker: Asker,
        resolver: SocketAddr,
        reactor: &Reactor,
    ) -> io::Result<OwnedFd> {
        let kind = match asker.transport() {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp => Protocol::Tcp,
        };
        let socket = self.host.open(SocketFamily::of(resolver.ip()), kind)?;
        match connect(&socket, &resolver) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        reactor.add(&socket, Token::DnsUpstream(id), Wake::Changes)?;
        Ok(socket)
    }

    /// Goes on with a question whose socket changed; returns the answer once it is there.
    pub(super) fn advance(&mut self, id: u32, reactor: &Reactor) -> Option<(Asker, Vec<u8>)> {
        let pending = self.pending.get_mut(&id)?;
        match pending.advance() {
            Ok(Some(answer)) => {
                let asker = pending.asker;
                drop(self.pending.remove(&id));
                Some((asker, answer))
            }
            Ok(None) => None,
            // The next sweep asks another resolver, or gives up.
            Err(_) => {
                reactor.remove(&pending.socket);
                pending.next_try = pending.asked;
                None
            }
        }
    }

    /// Asks the next resolver where one took too long; returns the questions that nobody answered.
    pub(super) fn sweep(&mut self, now: Instant, reactor: &Reactor) -> Vec<(Asker, Vec<u8>)> {
        let late = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.next_try <= now);
        let late: Vec<u32> = late.map(|(id, _)| *id).collect();
        let mut failed = Vec::new();
        for id in late {
            let Some(Pending {
                asker,
                question,
                resolver,
                deadline,
                ..
            }) = self.pending.remove(&id)
            else {
                continue;
            };
            let retry = (id, question.clone(), asker, deadline);
            let over = deadline <= now;
            if over || self.try_from(resolver + 1, retry, now, reactor).is_err() {
                failed.push((asker, question));
            }
        }
        failed
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.next_try).min()
    }
}

impl Pending {
    fn advance(&mut self) -> io::Result<Option<Vec<u8>>> {
        socket_error(&self.socket)??;
        match self.asker.transport() {
            Transport::Udp => self.receive_datagram(),
            Transport::Tcp => self.receive_stream(),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.question.len() + 2);
        if self.asker.transport() == Transport::Tcp {
            let length = u16::try_from(self.question.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        bytes.extend_from_slice(&self.number);
        bytes.extend_from_slice(&self.question[2..]);
        // A question is far smaller than an empty send buffer, so it goes whole or not at all.
        let _count = send(&self.socket, &bytes, SendFlags::NOSIGNAL)?;
        self.sent = true;
        Ok(())
    }

    fn receive_datagram(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0_u8; ANSWER_BYTES];
        loop {
            match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => {
                    if let Some(answer) = self.accept(&buffer[..length]) {
                        return Ok(Some(answer));
                    }
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn receive_stream(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.sent {
            match self.send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(None),
                other => other?,
            }
        }
        let mut buffer = [0_u8; 4096];
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, count)) => self.input.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(length) = self.input.first_chunk::<2>() else {
                continue;
            };
            let end = usize::from(u16::from_be_bytes(*length)) + 2;
            if let Some(answer) = self.input.get(2..end) {
                let answer = self.accept(answer);
                return answer
                    .map(Some)
                    .ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Returns the answer under the asker's own number, if it answers this question.
    fn accept(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let is_answer = answer.len() >= HEADER_BYTES && answer[2] & 0x80 != 0;
        let asked = question_section(&self.question)?;
        let repeated = question_section(answer)?;
        if !is_answer || answer[..2] != self.number || !asked.eq_ignore_ascii_case(repeated) {
            return None;
        }
        let mut answer = answer.to_vec();
        answer[..2].copy_from_slice(&self.question[..2]);
        Some(answer)
    }
}

/// Returns the bytes of the first question: name, type and class.
fn question_section(message: &[u8]) -> Option<&[u8]> {
    let mut end = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(end)?);
        // A first name has nothing before it that a pointer could mean.
        if length > 63 {
            return None;
        }
        end += 1 + length;
        if length == 0 {
            return message.get(HEADER_BYTES..end + TYPE_AND_CLASS_BYTES);
        }
    }
}

fn random_number() -> io::Result<[u8; 2]> {
    let mut number = [0_u8; 2];
    let _count = rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty())?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![9, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
        bytes
    }

    fn pending(question: Vec<u8>) -> Pending {
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        );
        let now = Instant::now();
        Pending {
            asker: Asker::Datagram("127.0.0.1:9".parse().unwrap()),
            question,
            number: [1, 2],
            resolver: 0,
            socket: socket.unwrap(),
            input: Vec::new(),
            sent: true,
            asked: now,
            next_try: now,
            deadline: now,
        }
    }

    #[test]
    fn only_the_answer_to_this_question_is_taken() {
        let pending = pending(question(b"\x03Web"));
        let mut good = question(b"\x03wEb");
        good[..3].copy_from_slice(&[1, 2, 0x81]);
        assert_eq!(&pending.accept(&good).unwrap()[..2], [9, 9]);
        let mut other_number = good.clone();
        other_number[1] = 3;
        assert_eq!(pending.accept(&other_number), None);
        let mut no_answer = good.clone();
        no_answer[2] = 1;
        assert_eq!(pending.accept(&no_answer), None);
        let mut other_name = good.clone();
        other_name[13] = b'x';
        assert_eq!(pending.accept(&other_name), None);
        assert_eq!(pending.accept(&good[..20]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_server_panic(bytes: Vec<u8>) {
            drop(pending(question(b"\x03web")).accept(&bytes));
        }
    }
}
