//! TCP: from a published port to the container and back, by `splice`.
//!
//! **Invariant:** bytes that were taken from one side are offered to the other before more are taken;
//! a slow reader slows its own writer and nobody else.
//! **Invariant:** the end of one direction is passed on and leaves the other direction open.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_keepalive, set_socket_linger, set_tcp_nodelay, socket_error,
};
use rustix::net::{Shutdown, SocketFlags, accept_with, connect, shutdown};
use rustix::pipe::{SpliceFlags, splice};

use crate::runtime::network::publish::{HostSockets, Protocol, PublishedPort, SocketFamily};

use super::PortTarget;
use super::pipes::{Pipe, Pipes};
use super::reactor::{Reactor, Token, Wake};

/// New connections that are taken before others get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// What a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that one connection moves before others get their turn.
const CHUNKS_PER_TURN: usize = 32;

#[derive(Debug)]
pub(super) struct Streams {
    listeners: Vec<PublishedPort>,
    target: PortTarget,
    /// Where the bridges are, from which the container is reached.
    bridges: Arc<HostSockets>,
    /// Connections at a time; more wait in the kernel's queue.
    limit: usize,
    open: BTreeMap<u32, Stream>,
    next_id: u32,
    pipes: Pipes,
    /// Those that used up their turn.
    unfinished: BTreeSet<u32>,
    paused: bool,
}

#[derive(Debug)]
struct Stream {
    client: OwnedFd,
    server: OwnedFd,
    /// Where to go if the current target refuses.
    others: Vec<SocketAddr>,
    connected: bool,
    to_server: Direction,
    to_client: Direction,
}

#[derive(Debug, Default)]
struct Direction {
    pipe: Option<Pipe>,
    buffered_bytes: usize,
    source_ended: bool,
    end_passed_on: bool,
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It waits for one of its sides.
    Waits,
    /// It could go on at once.
    TurnOver,
    /// Both directions ended.
    Finished,
}

impl Streams {
    pub(super) fn new(
        listeners: Vec<PublishedPort>,
        target: PortTarget,
        limit: usize,
        bridges: Arc<HostSockets>,
    ) -> Self {
        Self {
            listeners,
            target,
            bridges,
            limit,
            open: BTreeMap::new(),
            next_id: 0,
            pipes: Pipes::default(),
            unfinished: BTreeSet::new(),
            paused: false,
        }
    }

    pub(super) fn register(&self, reactor: &Reactor) -> io::Result<()> {
        (0..).zip(&self.listeners).try_for_each(|(index, port)| {
            reactor.add(&port.socket, Token::StreamListener(index), Wake::Readable)
        })
    }

    /// Takes connections from another listener too; one that cannot be watched is closed again.
    pub(super) fn listen(&mut self, port: PublishedPort, reactor: &Reactor) {
        let index = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        let token = Token::StreamListener(index);
        if self.paused || reactor.add(&port.socket, token, Wake::Readable).is_ok() {
            self.listeners.push(port);
        }
    }

    pub(super) fn set_target(&mut self, target: PortTarget) {
        self.target = target;
    }

    /// Takes new connections from one listener.
    pub(super) fn accept(&mut self, index: u32, reactor: &Reactor) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(port) = self.listeners.get(index as usize) else {
                return;
            };
            if self.open.len() >= self.limit {
                return self.pause(reactor);
            }
            match accept_with(&port.socket, flags) {
                Ok(client) => {
                    let targets = self.target.candidates(port.host.ip(), port.container_port);
                    self.begin(client, targets, reactor);
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return self.pause(reactor);
                }
                Err(_) => return,
            }
        }
    }

    /// Listens no more until a connection ends; without one there is nothing to wait for.
    fn pause(&mut self, reactor: &Reactor) {
        if !self.paused && !self.open.is_empty() {
            self.paused = true;
            self.listeners
                .iter()
                .for_each(|port| reactor.remove(&port.socket));
        }
    }

    fn begin(&mut self, client: OwnedFd, mut targets: Vec<SocketAddr>, reactor: &Reactor) {
        // Neither setting is needed for the bytes to arrive.
        let _set = set_tcp_nodelay(&client, true);
        let _set = set_socket_keepalive(&client, true);
        let Some(server) = connect_first(&mut targets, &self.bridges) else {
            return reset(&client);
        };
        let id = self.free_id();
        let registered = reactor
            .add(&client, Token::Stream(id), Wake::Changes)
            .and_then(|()| reactor.add(&server, Token::Stream(id), Wake::Changes));
        if registered.is_err() {
            return reset(&client);
        }
        let stream = Stream {
            client,
            server,
            others: targets,
            connected: false,
            to_server: Direction::default(),
            to_client: Direction::default(),
        };
        self.open.insert(id, stream);
    }

    fn free_id(&mut self) -> u32 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            if !self.open.contains_key(&self.next_id) {
                return self.next_id;
            }
        }
    }

    /// Goes on with a connection after one of its sides changed.
    pub(super) fn advance(&mut self, id: u32, reactor: &Reactor) {
        let Some(stream) = self.open.get_mut(&id) else {
            return;
        };
        self.unfinished.remove(&id);
        match stream.advance(id, (&mut self.pipes, &self.bridges), reactor) {
            Ok(Progress::Waits) => {}
            Ok(Progress::TurnOver) => {
                self.unfinished.insert(id);
            }
            Ok(Progress::Finished) => self.end(id, reactor),
            Err(_) => {
                // One side broke off, so the other learns it in the same way.
                reset(&stream.client);
                reset(&stream.server);
                self.end(id, reactor);
            }
        }
    }

    fn end(&mut self, id: u32, reactor: &Reactor) {
        drop(self.open.remove(&id));
        if self.paused {
            self.paused = false;
            // A listener that cannot come back is retried when the next connection ends.
            self.paused = self.register(reactor).is_err();
        }
    }

    /// Returns whether some connection could go on at once.
    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Gives every connection that used up its turn another one.
    pub(super) fn advance_unfinished(&mut self, reactor: &Reactor) {
        for id in std::mem::take(&mut self.unfinished) {
            self.advance(id, reactor);
        }
    }
}

impl Stream {
    fn advance(
        &mut self,
        id: u32,
        (pipes, bridges): (&mut Pipes, &HostSockets),
        reactor: &Reactor,
    ) -> io::Result<Progress> {
        if !self.connected && !self.finish_connecting(id, bridges, reactor)? {
            return Ok(Progress::Waits);
        }
        let one = self.to_server.pump(&self.client, &self.server, pipes)?;
        let other = self.to_client.pump(&self.server, &self.client, pipes)?;
        Ok(match (one, other) {
            (Progress::Finished, Progress::Finished) => Progress::Finished,
            (Progress::TurnOver, _) | (_, Progress::TurnOver) => Progress::TurnOver,
            (_, _) => Progress::Waits,
        })
    }

    fn finish_connecting(
        &mut self,
        id: u32,
        bridges: &HostSockets,
        reactor: &Reactor,
    ) -> io::Result<bool> {
        if let Err(error) = socket_error(&self.server)? {
            self.server = connect_first(&mut self.others, bridges).ok_or(error)?;
            reactor.add(&self.server, Token::Stream(id), Wake::Changes)?;
            return Ok(false);
        }
        // The client's side may have woken us first.
        match rustix::net::getpeername(&self.server) {
            Ok(_) => self.connected = true,
            Err(Errno::NOTCONN) => {}
            Err(error) => return Err(error.into()),
        }
        if self.connected {
            set_tcp_nodelay(&self.server, true)?;
        }
        Ok(self.connected)
    }
}

impl Direction {
    fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, pipes: &mut Pipes) -> io::Result<Progress> {
        for _ in 0..CHUNKS_PER_TURN {
            let taken = self.take(from, pipes)?;
            let given = self.give(to, pipes)?;
            if self.source_ended && self.buffered_bytes == 0 {
                self.pass_end_on(to)?;
                return Ok(Progress::Finished);
            }
            if !taken && !given {
                return Ok(Progress::Waits);
            }
        }
        Ok(Progress::TurnOver)
    }

    /// Moves bytes from the socket into the pipe.
    fn take(&mut self, from: &OwnedFd, pipes: &mut Pipes) -> io::Result<bool> {
        if self.source_ended || self.buffered_bytes >= CHUNK_BYTES {
            return Ok(false);
        }
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => pipes.lend()?,
        };
        let room = CHUNK_BYTES - self.buffered_bytes;
        let moved = splice(from, None, &pipe.write, None, room, splice_flags());
        if self.buffered_bytes == 0 && !matches!(moved, Ok(1..)) {
            pipes.give_back(pipe);
        } else {
            self.pipe = Some(pipe);
        }
        match moved {
            Ok(0) => {
                self.source_ended = true;
                Ok(true)
            }
            Ok(count) => {
                self.buffered_bytes += count;
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves bytes from the pipe into the other socket.
    fn give(&mut self, to: &OwnedFd, pipes: &mut Pipes) -> io::Result<bool> {
        let Some(pipe) = self.pipe.take() else {
            return Ok(false);
        };
        let moved = splice(
            &pipe.read,
            None,
            to,
            None,
            self.buffered_bytes,
            splice_flags(),
        );
        let given = match moved {
            Ok(count) => {
                self.buffered_bytes -= count.min(self.buffered_bytes);
                count > 0
            }
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        };
        if self.buffered_bytes == 0 {
            pipes.give_back(pipe);
        } else {
            self.pipe = Some(pipe);
        }
        Ok(given)
    }

    fn pass_end_on(&mut self, to: &OwnedFd) -> io::Result<()> {
        if self.end_passed_on {
            return Ok(());
        }
        self.end_passed_on = true;
        match shutdown(to, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn splice_flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

/// Begins to connect to the first target for which that is possible.
fn connect_first(targets: &mut Vec<SocketAddr>, bridges: &HostSockets) -> Option<OwnedFd> {
    while !targets.is_empty() {
        let target = targets.remove(0);
        let Ok(socket) = bridges.open(SocketFamily::of(target.ip()), Protocol::Tcp) else {
            continue;
        };
        match connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => return Some(socket),
            Err(_) => {}
        }
    }
    None
}

/// Makes the peer of a socket that is about to be closed see a broken connection, not an end.
fn reset(socket: &OwnedFd) {
    let _set = set_socket_linger(socket, Some(Duration::ZERO));
}
