//! Asks the holder for something.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::runtime::kernel::channel::Channel;
use crate::runtime::network::publish::{PortHolder, Protocol, SocketFamily};

use super::protocol::{HolderState, MESSAGE_BYTES, Request, Response};
use super::server::with_short_path;

/// The holder answers from memory; more than this means that it is not well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A way to the holder of this user.
///
/// Every request is a connection of its own, so that a holder that was replaced does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderClient {
    socket: PathBuf,
}

impl HolderClient {
    /// Speaks to the holder that listens on this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Returns the path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns a fresh socket of the host's network namespace.
    pub fn open_socket(&self, family: SocketFamily, kind: Protocol) -> io::Result<OwnedFd> {
        match self.ask(Request::Socket { family, kind })? {
            (Response::Socket, Some(fd)) => Ok(fd),
            other => Err(unexpected(&other)),
        }
    }

    /// Finds out who has a port of the host.
    pub fn who_listens(&self, address: SocketAddr, protocol: Protocol) -> io::Result<PortHolder> {
        match self.ask(Request::WhoListens { address, protocol })? {
            (Response::Listens(holder), _) => Ok(holder),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the user namespace and what it has.
    pub(super) fn user_namespace(&self) -> io::Result<(OwnedFd, HolderState)> {
        self.namespace(Request::UserNamespace)
    }

    /// Returns the network namespace and what it has.
    pub(super) fn network_namespace(&self) -> io::Result<(OwnedFd, HolderState)> {
        self.namespace(Request::NetworkNamespace)
    }

    fn namespace(&self, request: Request) -> io::Result<(OwnedFd, HolderState)> {
        match self.ask(request)? {
            (Response::Namespace(state), Some(fd)) => Ok((fd, state)),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, request: Request) -> io::Result<(Response, Option<OwnedFd>)> {
        let fd = socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        set_socket_timeout(&fd, Timeout::Send, Some(ANSWER_TIMEOUT))?;
        with_short_path(&self.socket, |address| Ok(connect(&fd, address)?))?;
        let channel = Channel::from_fd(fd);
        channel.send(&serde_json::to_vec(&request)?, None)?;
        let mut buffer = [0_u8; MESSAGE_BYTES];
        let received = channel.receive(&mut buffer)?;
        let response = serde_json::from_slice(&buffer[..received.length])?;
        if let Response::Failed { errno } = response {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok((response, received.fd))
    }
}

fn unexpected((response, fd): &(Response, Option<OwnedFd>)) -> io::Error {
    let fd = if fd.is_some() { "a" } else { "no" };
    io::Error::other(format!(
        "the holder answered {response:?} with {fd} descriptor"
    ))
}
