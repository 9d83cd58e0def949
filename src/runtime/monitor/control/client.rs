//! A command's side of the conversation; blocking, but not for ever.
//!
//! **Invariant:** a monitor that does not answer in time is ended, as if it had died by itself: whoever
//! asked starts another, which adopts the container.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::keys::{DetachKeys, Typed};
use super::{MESSAGE_LIMIT_BYTES, Reply, Request, path_through};
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::value::Signal;

/// How long the end of a monitor that was sent SIGKILL is waited for.
const KILL_TIMEOUT_MS: u64 = 5_000;

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
    /// The monitor did not answer in time.
    #[error("hear from the monitor at `{path}` within {} s", .patience.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
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
    let (_socket, reply) = converse_within(run_dir, request, request.patience())?;
    Ok(reply)
}

/// Connects to the terminal of the container whose run folder this is.
pub fn attach(run_dir: &Path, screen: Screen) -> Result<Attached, ControlError> {
    let request = match screen {
        Screen::Shown => Request::Attach,
        Screen::Hidden => Request::Type,
    };
    let (socket, reply) = converse_within(run_dir, &request, request.patience())?;
    let path = run_dir.join("control");
    if reply != Reply::Done {
        let source = io::ErrorKind::UnexpectedEof.into();
        return Err(ControlError::Broken { path, source });
    }
    match set_socket_timeout(&socket, Timeout::Recv, None) {
        Ok(()) => Ok(Attached { socket }),
        Err(error) => Err(ControlError::Broken {
            path,
            source: error.into(),
        }),
    }
}

/// Connects, asks and hears the answer, unless that is a refusal.
fn converse_within(
    run_dir: &Path,
    request: &Request,
    patience: Option<Duration>,
) -> Result<(OwnedFd, Reply), ControlError> {
    let path = run_dir.join("control");
    let socket = open(run_dir).map_err(|source| ControlError::Unreachable {
        path: path.clone(),
        source,
    })?;
    let broken = |source| ControlError::Broken {
        path: path.clone(),
        source,
    };
    set_socket_timeout(&socket, Timeout::Recv, patience).map_err(|error| broken(error.into()))?;
    match (converse(&socket, request), patience) {
        (Ok(Reply::Failed { message }), _) => Err(ControlError::Refused { message }),
        (Ok(reply), _) => Ok((socket, reply)),
        (Err(error), Some(patience)) if error.kind() == io::ErrorKind::WouldBlock => {
            end_listener(&socket).map_err(broken)?;
            Err(ControlError::Silent { path, patience })
        }
        (Err(error), _) => Err(broken(error)),
    }
}

/// Kills the process that listens at the other end of `socket`, unless it is gone.
fn end_listener(socket: &OwnedFd) -> io::Result<()> {
    let listener = socket_peercred(socket)?.pid;
    let process = match Pidfd::open(listener.as_raw_nonzero().get()) {
        Ok(process) => process,
        Err(KernelError::ProcessGone { .. }) => return Ok(()),
        Err(error) => return Err(io::Error::other(error)),
    };
    // The other end is open as long as its process lives. If it is open now, the number was that
    // process's own when it was looked up.
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let _count = poll(&mut fds, Some(&Timespec::default()))?;
    if !fds[0].revents().is_empty() {
        return Ok(());
    }
    match process.signal(Signal::KILL.number()) {
        Ok(()) | Err(KernelError::ProcessGone { .. }) => {}
        Err(error) => return Err(io::Error::other(error)),
    }
    let ended = process.wait_until_ended(Some(KILL_TIMEOUT_MS));
    ended.map(drop).map_err(io::Error::other)
}

/// Whether what a terminal shows comes over a connection to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// It does.
    Shown,
    /// It does not: the connection is there to type.
    Hidden,
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
    ) -> io::Result<()> {
        let socket = Arc::new(self.socket);
        if let Some(stdin) = stdin {
            let socket = Arc::clone(&socket);
            let _thread = thread::Builder::new().spawn(move || {
                if type_keys(
                    &mut File::from(stdin),
                    &socket,
                    DetachKeys::new(detach_keys),
                )
                .is_ok_and(|end| end == End::Detached)
                {
                    on_detach();
                }
            })?;
        }
        let mut stdout = stdout.map(File::from);
        let _thread = thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; MESSAGE_LIMIT_BYTES];
            while let Ok((count, _)) = recv(&*socket, &mut buffer[..], RecvFlags::empty()) {
                let shown = stdout
                    .as_mut()
                    .map_or(Ok(()), |file| file.write_all(&buffer[..count]));
                if count == 0 || shown.is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

/// Why keys are no longer passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Detached,
    Closed,
}

fn type_keys(stdin: &mut File, socket: &OwnedFd, keys: DetachKeys) -> io::Result<End> {
    let mut keys = keys;
    let mut buffer = [0; 4096];
    loop {
        let count = stdin.read(&mut buffer)?;
        if count == 0 {
            let rest = keys.rest();
            if !rest.is_empty() {
                let _count = send(socket, &rest, SendFlags::NOSIGNAL)?;
            }
            return Ok(End::Closed);
        }
        let (passed, typed) = keys.pass(&buffer[..count]);
        if !passed.is_empty() {
            let _count = send(socket, &passed, SendFlags::NOSIGNAL)?;
        }
        if typed == Typed::Detach {
            return Ok(End::Detached);
        }
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
