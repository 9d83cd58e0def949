//! Answers requests on the holder's socket, one after the other: each is a moment's work.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use rustix::process::geteuid;

use crate::runtime::kernel::channel::Channel;
use crate::runtime::network::publish::{Protocol, open_here, who_listens};
use crate::runtime::store::remove_tree;

use super::namespaces::Namespaces;
use super::protocol::{HolderState, MESSAGE_BYTES, Request, Response};

const BACKLOG: i32 = 128;
/// How long a peer may take over its one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long nobody is answered after the kernel had nothing to answer with.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Server {
    listener: OwnedFd,
    namespaces: Namespaces,
    state: HolderState,
}

impl Server {
    pub(super) fn new(path: &Path, namespaces: Namespaces, state: HolderState) -> io::Result<Self> {
        remove_tree(path).map_err(io::Error::other)?;
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        with_short_path(path, |address| Ok(bind(&listener, address)?))?;
        rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR)?;
        listen(&listener, BACKLOG)?;
        Ok(Self {
            listener,
            namespaces,
            state,
        })
    }

    /// Answers for as long as the process lives.
    pub(super) fn run(&self) {
        loop {
            match accept_with(&self.listener, SocketFlags::CLOEXEC) {
                // A peer that misbehaves is left; nobody else is concerned.
                Ok(peer) => drop(self.serve(peer)),
                Err(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => return,
                // This one peer is gone.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                // Descriptors or memory are short: the peer waits in the queue, so asking again at
                // once would only keep a processor busy, and there is no event to wait for.
                Err(_) => pause(),
            }
        }
    }

    fn serve(&self, peer: OwnedFd) -> io::Result<()> {
        if socket_peercred(&peer)?.uid != geteuid() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        set_socket_timeout(&peer, Timeout::Recv, Some(REQUEST_TIMEOUT))?;
        set_socket_timeout(&peer, Timeout::Send, Some(REQUEST_TIMEOUT))?;
        let channel = Channel::from_fd(peer);
        let mut buffer = [0_u8; MESSAGE_BYTES];
        let received = channel.receive(&mut buffer)?;
        let request: Request = serde_json::from_slice(&buffer[..received.length])?;
        match request {
            Request::UserNamespace => self.namespace(&channel, self.namespaces.user.as_fd()),
            Request::NetworkNamespace => self.namespace(&channel, self.namespaces.net.as_fd()),
            Request::Socket { family, kind } => match open_here(family, kind) {
                Ok(socket) => send(&channel, &Response::Socket, Some(socket.as_fd())),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
                    send(&channel, &Response::Failed { errno }, None)
                }
            },
            Request::WhoListens { address, protocol } => listens(&channel, address, protocol),
        }
    }

    fn namespace(&self, channel: &Channel, fd: BorrowedFd<'_>) -> io::Result<()> {
        send(channel, &Response::Namespace(self.state.clone()), Some(fd))
    }
}

fn pause() {
    let pause = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: RETRY_PAUSE.subsec_nanos().into(),
    };
    // An interrupted pause is only a shorter one.
    let _slept = rustix::thread::nanosleep(&pause);
}

fn listens(channel: &Channel, address: SocketAddr, protocol: Protocol) -> io::Result<()> {
    send(
        channel,
        &Response::Listens(who_listens(address, protocol)),
        None,
    )
}

fn send(channel: &Channel, response: &Response, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    channel.send(&serde_json::to_vec(response)?, fd)?;
    Ok(())
}

/// Names a socket by its folder's descriptor: a path longer than 107 bytes has no address.
pub(super) fn with_short_path<T>(
    path: &Path,
    act: impl FnOnce(&SocketAddrUnix) -> io::Result<T>,
) -> io::Result<T> {
    use std::os::fd::AsRawFd as _;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let short = format!("/proc/self/fd/{}", folder.as_raw_fd());
    act(&SocketAddrUnix::new(Path::new(&short).join(name))?)
}
