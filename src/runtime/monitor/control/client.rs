//! A command's side of the conversation; blocking.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::{MESSAGE_LIMIT_BYTES, Reply, Request, path_through};

/// A failed conversation with a monitor.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the monitor is gone.
    #[error("reach the monitor at `{path}`")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor ended in the middle of it.
    #[error("hear from the monitor at `{path}`")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor could not do it.
    #[error("{message}")]
    Refused {
        /// What the monitor said.
        message: String,
    },
}

/// Sends `request` to the monitor of the container whose run folder this is, and waits for its reply.
pub fn ask(run_dir: &Path, request: &Request) -> Result<Reply, ControlError> {
    let path = run_dir.join("control");
    let socket = open(run_dir).map_err(|source| ControlError::Unreachable {
        path: path.clone(),
        source,
    })?;
    let broken = |source| ControlError::Broken {
        path: path.clone(),
        source,
    };
    let reply = converse(&socket, request).map_err(broken)?;
    match reply {
        Reply::Failed { message } => Err(ControlError::Refused { message }),
        Reply::Done | Reply::Ended { .. } => Ok(reply),
    }
}

fn open(run_dir: &Path) -> io::Result<OwnedFd> {
    let dir = std::fs::File::open(run_dir)?;
    let address = SocketAddrUnix::new(path_through(&dir))?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    connect(&socket, &address)?;
    Ok(socket)
}

fn converse(socket: &OwnedFd, request: &Request) -> io::Result<Reply> {
    let sent = send(socket, &serde_json::to_vec(request)?, SendFlags::NOSIGNAL)?;
    debug_assert!(sent > 0, "a packet is sent whole");
    let mut buffer = vec![0; MESSAGE_LIMIT_BYTES];
    loop {
        match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((count, _)) => return Ok(serde_json::from_slice(&buffer[..count])?),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
