//! The name server of one container.
//!
//! **Invariant:** no question waits for another: a stalled connection or resolver costs its own client.

mod cache;
mod clients;
mod forward;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{RecvFlags, SendFlags, bind, getsockname, listen, recvfrom, sendto};

use crate::runtime::network::files::NAME_SERVER;
use crate::runtime::network::names::{
    Answer, Outside, Question, Transport, decide, server_failure,
};
use crate::runtime::network::nat;
use crate::runtime::network::publish::{HostSockets, Protocol, SocketFamily, open_here};

use super::reactor::{Reactor, Token, Wake};
use super::{NameServerPort, NamesConfig};
use cache::Cache;
use clients::Clients;
use forward::Forwarder;

const DNS_PORT: u16 = 53;
/// Questions that are answered before others get their turn.
const DATAGRAMS_PER_TURN: usize = 64;
/// Longer questions are cut and then refused as malformed.
const QUESTION_BYTES: usize = 4096;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// By datagram, from this address.
    Datagram(SocketAddr),
    /// By the connection of this number.
    Connection(u32),
}

impl Asker {
    fn transport(self) -> Transport {
        match self {
            Self::Datagram(_) => Transport::Udp,
            Self::Connection(_) => Transport::Tcp,
        }
    }
}

#[derive(Debug)]
pub(super) struct NameServer {
    datagrams: OwnedFd,
    listener: OwnedFd,
    cache: Cache,
    clients: Clients,
    forwarder: Forwarder,
    turn: usize,
}

impl NameServer {
    /// Listens in the calling thread's network namespace, which is the container's.
    pub(super) fn new(config: NamesConfig, host: HostSockets) -> io::Result<Self> {
        let port = match config.listen {
            NameServerPort::Plain => DNS_PORT,
            NameServerPort::Redirected => 0,
        };
        let address = SocketAddr::new(NAME_SERVER, port);
        let datagrams = open_here(SocketFamily::V4, Protocol::Udp)?;
        bind(&datagrams, &address)?;
        let listener = open_here(SocketFamily::V4, Protocol::Tcp)?;
        set_socket_reuseaddr(&listener, true)?;
        bind(&listener, &address)?;
        listen(&listener, BACKLOG)?;
        if config.listen == NameServerPort::Redirected {
            let udp = SocketAddr::try_from(getsockname(&datagrams)?)?.port();
            let tcp = SocketAddr::try_from(getsockname(&listener)?)?.port();
            nat::redirect_name_server(udp, tcp).map_err(io::Error::other)?;
        }
        Ok(Self {
            datagrams,
            listener,
            cache: Cache::new(config.networks, config.links),
            clients: Clients::default(),
            forwarder: Forwarder::new(config.resolvers, host),
            turn: 0,
        })
    }

    pub(super) fn register(&self, reactor: &Reactor) -> io::Result<()> {
        reactor.add(&self.datagrams, Token::DnsDatagrams, Wake::Readable)?;
        reactor.add(&self.listener, Token::DnsListener, Wake::Readable)
    }

    /// Answers by other records from now on; the place where it listens stays.
    pub(super) fn set_config(&mut self, config: NamesConfig) {
        self.cache = Cache::new(config.networks, config.links);
        self.forwarder.set_resolvers(config.resolvers);
    }

    /// Goes on with whatever one of its sockets has.
    pub(super) fn handle(&mut self, token: Token, now: Instant, reactor: &Reactor) {
        match token {
            Token::DnsDatagrams => self.on_datagrams(now, reactor),
            Token::DnsListener => self.clients.accept(&self.listener, now, reactor),
            Token::DnsClient(id) => self.on_client(id, now, reactor),
            Token::DnsUpstream(id) => self.on_upstream(id, reactor),
            Token::Control
            | Token::StreamListener(_)
            | Token::Stream(_)
            | Token::DatagramListener(_)
            | Token::DatagramSession(_) => {}
        }
    }

    fn on_datagrams(&mut self, now: Instant, reactor: &Reactor) {
        let mut buffer = [0_u8; QUESTION_BYTES];
        for _ in 0..DATAGRAMS_PER_TURN {
            let received = recvfrom(&self.datagrams, &mut buffer, RecvFlags::empty());
            let Ok((_, length, from)) = received else {
                return;
            };
            let from = from.and_then(|from| SocketAddr::try_from(from).ok());
            let Some(from) = from.filter(|from| is_from_inside(from.ip())) else {
                continue;
            };
            self.answer(&buffer[..length], Asker::Datagram(from), now, reactor);
        }
    }

    fn on_client(&mut self, id: u32, now: Instant, reactor: &Reactor) {
        for question in self.clients.read(id) {
            self.answer(&question, Asker::Connection(id), now, reactor);
        }
    }

    fn on_upstream(&mut self, id: u32, reactor: &Reactor) {
        if let Some((asker, answer)) = self.forwarder.advance(id, reactor) {
            self.send(&answer, asker);
        }
    }

    /// Gives up on what takes too long; returns when to look again.
    pub(super) fn sweep(&mut self, now: Instant, reactor: &Reactor) -> Option<Instant> {
        for (asker, question) in self.forwarder.sweep(now, reactor) {
            self.fail(&question, asker);
        }
        let clients = self.clients.sweep(now);
        [clients, self.forwarder.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn answer(&mut self, bytes: &[u8], asker: Asker, now: Instant, reactor: &Reactor) {
        self.turn = self.turn.wrapping_add(1);
        let outside = if self.forwarder.has_resolvers() {
            Outside::Ask
        } else {
            Outside::Never
        };
        let question = Question {
            bytes,
            over: asker.transport(),
            outside,
            turn: self.turn,
        };
        match decide(&question, self.cache.table(now)) {
            Answer::Reply(answer) => self.send(&answer, asker),
            Answer::Ignore => {}
            Answer::Forward => {
                if self.forwarder.ask(bytes, asker, now, reactor).is_err() {
                    self.fail(bytes, asker);
                }
            }
        }
    }

    fn fail(&mut self, question: &[u8], asker: Asker) {
        if let Answer::Reply(answer) = server_failure(question) {
            self.send(&answer, asker);
        }
    }

    fn send(&mut self, answer: &[u8], asker: Asker) {
        match asker {
            // An answer that is lost is asked for again.
            Asker::Datagram(to) => {
                let _sent = sendto(&self.datagrams, answer, SendFlags::NOSIGNAL, &to);
            }
            Asker::Connection(id) => self.clients.write(id, answer),
        }
    }
}

/// A loopback address can only be reached from inside; a forged source is dropped all the same.
fn is_from_inside(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}
