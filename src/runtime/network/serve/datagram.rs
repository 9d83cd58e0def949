//! UDP: from a published port to the container and back, one session per client.
//!
//! **Invariant:** an answer comes from the address that the client had sent to, also on a machine with
//! several.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use rustix::net::{RecvFlags, SendFlags, connect, recv, send};

use crate::runtime::network::publish::{HostSockets, Protocol, PublishedPort, SocketFamily};

use super::PortTarget;
use super::reactor::{Reactor, Token, Wake};

/// How long a silent client is remembered.
const SESSION_IDLE: Duration = Duration::from_secs(90);
/// Datagrams that one socket moves before others get their turn.
const DATAGRAMS_PER_TURN: usize = 64;
/// The largest that IP can carry.
const DATAGRAM_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SessionKey {
    listener: u32,
    client: SocketAddr,
    /// The host's address that the client sent to.
    local: Option<IpAddr>,
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    socket: OwnedFd,
    last_used: Instant,
    /// Where to go if nobody listens at the current target, until somebody answered.
    others: Vec<SocketAddr>,
    /// The first datagram, to be sent there again.
    first: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Datagrams {
    listeners: Vec<PublishedPort>,
    target: PortTarget,
    /// Where the bridges are, from which the container is reached.
    bridges: Arc<HostSockets>,
    /// Clients at a time; the one that was silent the longest makes room.
    limit: usize,
    by_client: BTreeMap<SessionKey, u32>,
    sessions: BTreeMap<u32, Session>,
    next_id: u32,
    next_sweep: Option<Instant>,
    buffer: Vec<u8>,
}

impl Datagrams {
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
            by_client: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_id: 0,
            next_sweep: None,
            buffer: Vec::new(),
        }
    }

    pub(super) fn register(&mut self, reactor: &Reactor) -> io::Result<()> {
        if !self.listeners.is_empty() {
            self.buffer = vec![0; DATAGRAM_BYTES];
        }
        (0..)
            .zip(&self.listeners)
            .try_for_each(|(index, port)| watch(port, index, reactor))
    }

    /// Takes datagrams from another listener too; one that cannot be watched is closed again.
    pub(super) fn listen(&mut self, port: PublishedPort, reactor: &Reactor) {
        self.buffer.resize(DATAGRAM_BYTES, 0);
        let index = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        if watch(&port, index, reactor).is_ok() {
            self.listeners.push(port);
        }
    }

    /// Leads new sessions to another address; those that are open keep theirs until they are silent.
    pub(super) fn set_target(&mut self, target: PortTarget) {
        self.target = target;
    }

    /// Passes datagrams of clients on to the container.
    pub(super) fn take_from_clients(&mut self, listener: u32, now: Instant, reactor: &Reactor) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some((key, length)) = self.receive(listener) else {
                return;
            };
            let Some(id) = self.session_for(key, now, reactor) else {
                continue;
            };
            if let Some(session) = self.sessions.get_mut(&id) {
                session.last_used = now;
                if session.first.is_empty() && !session.others.is_empty() {
                    session.first = self.buffer[..length].to_vec();
                }
                // What cannot be delivered is lost, as datagrams are.
                let _sent = send(&session.socket, &self.buffer[..length], SendFlags::NOSIGNAL);
            }
        }
    }

    /// Passes datagrams of the container back to one client.
    pub(super) fn give_to_client(&mut self, id: u32, now: Instant, reactor: &Reactor) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            match recv(
                &session.socket,
                self.buffer.as_mut_slice(),
                RecvFlags::empty(),
            ) {
                Ok((_, length)) => {
                    session.answered(now);
                    let key = session.key;
                    let Some(port) = self.listeners.get(key.listener as usize) else {
                        return;
                    };
                    let _sent = send_from(&port.socket, &self.buffer[..length], &key);
                }
                Err(rustix::io::Errno::CONNREFUSED) => session.try_next(id, &self.bridges, reactor),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Forgets silent clients; returns when to look again.
    pub(super) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        if self.next_sweep.is_some_and(|due| due <= now) {
            let silent = self
                .sessions
                .iter()
                .filter(|(_, session)| session.is_silent(now));
            let silent: Vec<u32> = silent.map(|(id, _)| *id).collect();
            for id in silent {
                self.forget(id);
            }
            let oldest = self
                .sessions
                .values()
                .map(|session| session.last_used)
                .min();
            self.next_sweep = oldest.map(|oldest| oldest + SESSION_IDLE);
        }
        self.next_sweep
    }

    fn forget(&mut self, id: u32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.by_client.remove(&session.key);
        }
    }

    fn receive(&mut self, listener: u32) -> Option<(SessionKey, usize)> {
        let port = self.listeners.get(listener as usize)?;
        let mut space = nix::cmsg_space!(in6_pktinfo);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(
            port.socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            flags,
        )
        .ok()?;
        let client = socket_address(message.address.as_ref()?)?;
        let local = message.cmsgs().ok()?.find_map(|part| local_address(&part));
        Some((
            SessionKey {
                listener,
                client,
                local,
            },
            message.bytes,
        ))
    }

    fn session_for(&mut self, key: SessionKey, now: Instant, reactor: &Reactor) -> Option<u32> {
        if let Some(id) = self.by_client.get(&key) {
            return Some(*id);
        }
        if self.sessions.len() >= self.limit {
            let oldest = self
                .sessions
                .iter()
                .min_by_key(|(_, session)| session.last_used);
            let oldest = oldest.map(|(id, _)| *id);
            if let Some(id) = oldest {
                self.forget(id);
            }
        }
        let port = self.listeners.get(key.listener as usize)?;
        let mut others = self.target.candidates(port.host.ip(), port.container_port);
        let socket = open_first(&mut others, &self.bridges)?;
        self.next_id = self.next_id.wrapping_add(1);
        while self.sessions.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        reactor
            .add(&socket, Token::DatagramSession(id), Wake::Readable)
            .ok()?;
        self.by_client.insert(key, id);
        let session = Session {
            key,
            socket,
            last_used: now,
            others,
            first: Vec::new(),
        };
        self.sessions.insert(id, session);
        self.next_sweep = self.next_sweep.or(Some(now + SESSION_IDLE));
        Some(id)
    }
}

fn watch(port: &PublishedPort, index: u32, reactor: &Reactor) -> io::Result<()> {
    if port.host.is_ipv4() {
        setsockopt(&port.socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&port.socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    reactor.add(&port.socket, Token::DatagramListener(index), Wake::Readable)
}

impl Session {
    fn is_silent(&self, now: Instant) -> bool {
        self.last_used + SESSION_IDLE <= now
    }

    fn answered(&mut self, now: Instant) {
        self.last_used = now;
        self.others.clear();
        self.first = Vec::new();
    }

    /// Nobody listens there; without another target the next datagram may fare better.
    fn try_next(&mut self, id: u32, bridges: &HostSockets, reactor: &Reactor) {
        let Some(socket) = open_first(&mut self.others, bridges) else {
            return;
        };
        if reactor
            .add(&socket, Token::DatagramSession(id), Wake::Readable)
            .is_ok()
        {
            self.socket = socket;
            let _sent = send(&self.socket, &self.first, SendFlags::NOSIGNAL);
        }
    }
}

fn open_first(targets: &mut Vec<SocketAddr>, bridges: &HostSockets) -> Option<OwnedFd> {
    while !targets.is_empty() {
        if let Ok(socket) = open_session(targets.remove(0), bridges) {
            return Some(socket);
        }
    }
    None
}

fn open_session(target: SocketAddr, bridges: &HostSockets) -> io::Result<OwnedFd> {
    let socket = bridges.open(SocketFamily::of(target.ip()), Protocol::Udp)?;
    connect(&socket, &target)?;
    Ok(socket)
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
    })
}

fn local_address(part: &ControlMessageOwned) -> Option<IpAddr> {
    if let ControlMessageOwned::Ipv4PacketInfo(info) = part {
        return Some(IpAddr::V4(info.ipi_spec_dst.s_addr.to_ne_bytes().into()));
    }
    if let ControlMessageOwned::Ipv6PacketInfo(info) = part {
        return Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
    }
    None
}

fn send_from(socket: &OwnedFd, bytes: &[u8], key: &SessionKey) -> nix::Result<usize> {
    let parts = [IoSlice::new(bytes)];
    let v4_info;
    let v6_info;
    let control = match key.local {
        Some(IpAddr::V4(ip)) => {
            let address = nix::libc::in_addr {
                s_addr: u32::from_ne_bytes(ip.octets()),
            };
            v4_info = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: address,
                ipi_addr: address,
            };
            vec![ControlMessage::Ipv4PacketInfo(&v4_info)]
        }
        Some(IpAddr::V6(ip)) => {
            let address = nix::libc::in6_addr {
                s6_addr: ip.octets(),
            };
            v6_info = in6_pktinfo {
                ipi6_addr: address,
                ipi6_ifindex: 0,
            };
            vec![ControlMessage::Ipv6PacketInfo(&v6_info)]
        }
        None => Vec::new(),
    };
    match key.client {
        SocketAddr::V4(v4) => send_to(socket, &parts, &control, &SockaddrIn::from(v4)),
        SocketAddr::V6(v6) => send_to(socket, &parts, &control, &SockaddrIn6::from(v6)),
    }
}

fn send_to<A: SockaddrLike>(
    socket: &OwnedFd,
    parts: &[IoSlice<'_>],
    control: &[ControlMessage<'_>],
    client: &A,
) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg(socket.as_raw_fd(), parts, control, flags, Some(client))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts its clock somewhere"
)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_silent_for_too_long_is_forgotten() {
        let now = Instant::now();
        let mut datagrams = Datagrams::new(
            Vec::new(),
            PortTarget::default(),
            8,
            Arc::new(HostSockets::Here),
        );
        let client = "127.0.0.1:9".parse().unwrap();
        let key = SessionKey {
            listener: 0,
            client,
            local: None,
        };
        let socket = open_session(client, &HostSockets::Here).unwrap();
        datagrams.by_client.insert(key, 1);
        let (others, first) = (Vec::new(), Vec::new());
        let session = Session {
            key,
            socket,
            last_used: now,
            others,
            first,
        };
        datagrams.sessions.insert(1, session);
        datagrams.next_sweep = Some(now + SESSION_IDLE);
        assert_eq!(datagrams.sweep(now), Some(now + SESSION_IDLE));
        assert_eq!(datagrams.sessions.len(), 1);
        assert_eq!(datagrams.sweep(now + SESSION_IDLE), None);
        assert!(datagrams.sessions.is_empty() && datagrams.by_client.is_empty());
    }
}
