//! A command's side of the conversation; blocking.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

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

/// Connects to the terminal of the container whose run folder this is.
pub fn attach(run_dir: &Path) -> Result<Attached, ControlError> {
    let path = run_dir.join("control");
    let socket = open(run_dir).map_err(|source| ControlError::Unreachable {
        path: path.clone(),
        source,
    })?;
    match converse(&socket, &Request::Attach) {
        Ok(Reply::Done) => Ok(Attached { socket }),
        Ok(Reply::Failed { message }) => Err(ControlError::Refused { message }),
        Ok(Reply::Ended { .. }) => Err(ControlError::Broken {
            path,
            source: io::ErrorKind::UnexpectedEof.into(),
        }),
        Err(source) => Err(ControlError::Broken { path, source }),
    }
}

/// A connection with a container's terminal.
#[derive(Debug)]
pub struct Attached {
    socket: OwnedFd,
}

impl Attached {
    /// Passes keys and screen on, in threads that end with the terminal or with this process.
    ///
    /// `on_detach` is called when the user typed `detach_keys`; without keys nobody detaches.
    pub fn relay(
        self,
        stdin: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
        detach_keys: Vec<u8>,
        on_detach: impl FnOnce() + Send + 'static,
    ) {
        let socket = Arc::new(self.socket);
        if let Some(stdin) = stdin {
            let socket = Arc::clone(&socket);
            let _thread = thread::spawn(move || {
                if type_keys(&mut File::from(stdin), &socket, &detach_keys)
                    .is_ok_and(|end| end == End::Detached)
                {
                    on_detach();
                }
            });
        }
        let mut stdout = stdout.map(File::from);
        let _thread = thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE_LIMIT_BYTES];
            while let Ok((count, _)) = recv(&*socket, &mut buffer[..], RecvFlags::empty()) {
                let shown = stdout
                    .as_mut()
                    .map_or(Ok(()), |file| file.write_all(&buffer[..count]));
                if count == 0 || shown.is_err() {
                    return;
                }
            }
        });
    }
}

/// Why keys are no longer passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Detached,
    Closed,
}

fn type_keys(stdin: &mut File, socket: &OwnedFd, detach_keys: &[u8]) -> io::Result<End> {
    let mut typed: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stdin.read(&mut buffer)?;
        if count == 0 {
            return Ok(End::Closed);
        }
        let keys = &buffer[..count];
        typed.extend_from_slice(keys);
        if !detach_keys.is_empty() && typed.ends_with(detach_keys) {
            return Ok(End::Detached);
        }
        let keep = typed.len().min(detach_keys.len());
        drop(typed.drain(..typed.len() - keep));
        let _count = send(socket, keys, SendFlags::NOSIGNAL)?;
    }
}

fn open(run_dir: &Path) -> io::Result<OwnedFd> {
    let dir = File::open(run_dir)?;
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
