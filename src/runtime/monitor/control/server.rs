//! A monitor's side of the conversation; never blocks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, socket_with,
};

use super::{MESSAGE_LIMIT_BYTES, Reply, Request, path_through};

/// The most conversations at once; a further one waits in the socket's queue.
const CONNECTION_LIMIT: usize = 32;

/// The socket that commands connect to.
#[derive(Debug)]
pub struct ControlServer {
    socket: OwnedFd,
    count: usize,
}

/// One conversation.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// What came over a conversation.
#[derive(Debug)]
pub enum Incoming {
    /// A request to be answered.
    Request(Request),
    /// Nothing for now.
    Nothing,
    /// The other side is gone, or does not speak our language.
    End,
}

impl ControlServer {
    /// Listens in the run folder, in the place of a monitor that is gone.
    pub fn listen(run_dir: &Path) -> io::Result<Self> {
        match std::fs::remove_file(run_dir.join("control")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let dir = std::fs::File::open(run_dir)?;
        let address = SocketAddrUnix::new(path_through(&dir))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &address)?;
        listen(&socket, 64)?;
        Ok(Self { socket, count: 0 })
    }

    /// Returns the descriptor that is readable when someone connects; `None` while there are enough.
    pub fn waiting(&self) -> Option<BorrowedFd<'_>> {
        (self.count < CONNECTION_LIMIT).then(|| self.socket.as_fd())
    }

    /// Accepts who is waiting, if anyone of our own user is.
    pub fn accept(&mut self) -> io::Result<Option<Connection>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match accept_with(&self.socket, flags) {
            Ok(socket) => socket,
            Err(
                rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED,
            ) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if peer.uid != rustix::process::geteuid() {
            return Ok(None);
        }
        self.count += 1;
        Ok(Some(Connection { socket }))
    }

    /// Records that a conversation is over.
    pub fn closed(&mut self, connection: Connection) {
        self.count = self.count.saturating_sub(1);
        drop(connection);
    }
}

impl Connection {
    /// Reads what the other side wants.
    pub fn receive(&self) -> Incoming {
        let mut buffer = vec![0; MESSAGE_LIMIT_BYTES + 1];
        match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Incoming::End,
            Ok((count, _)) if count > MESSAGE_LIMIT_BYTES => Incoming::End,
            Ok((count, _)) => {
                serde_json::from_slice(&buffer[..count]).map_or(Incoming::End, Incoming::Request)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Incoming::Nothing,
            Err(_) => Incoming::End,
        }
    }

    /// Reports whether the other side has closed its end, or was ended.
    pub fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::empty())];
        let polled = poll(&mut fds, Some(&Timespec::default()));
        polled.is_ok() && !fds[0].revents().is_empty()
    }

    /// Answers; an asker who is gone misses it.
    pub fn reply(&self, reply: &Reply) {
        if let Ok(message) = serde_json::to_vec(reply) {
            // A reader who is gone or slow is not waited for: the state record has the answer too.
            let _sent = send(
                &self.socket,
                &message,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            );
        }
    }
}

impl Connection {
    /// Reads bytes for the terminal; `None` when the other side is gone.
    pub fn receive_bytes(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MESSAGE_LIMIT_BYTES];
        match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => None,
            Ok((count, _)) => {
                buffer.truncate(count);
                Some(buffer)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Some(Vec::new()),
            Err(_) => None,
        }
    }

    /// Sends bytes of the terminal; a slow watcher misses some, the container never waits for it.
    pub fn send_bytes(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(MESSAGE_LIMIT_BYTES) {
            let _sent = send(
                &self.socket,
                chunk,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            );
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ControlError, ask};
    use super::*;

    /// Serves one conversation as a monitor would, and returns what was asked.
    fn serve_one(server: &mut ControlServer, reply: &Reply) -> Request {
        loop {
            let Some(connection) = server.accept().unwrap() else {
                continue;
            };
            loop {
                match connection.receive() {
                    Incoming::Request(request) => {
                        connection.reply(reply);
                        return request;
                    }
                    Incoming::Nothing => {}
                    Incoming::End => unreachable!("the asker waits for its reply"),
                }
            }
        }
    }

    #[test]
    fn a_request_reaches_the_monitor_and_its_reply_comes_back() {
        // Longer than the 108 bytes that a socket's path may have.
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("x".repeat(120));
        std::fs::create_dir(&run_dir).unwrap();
        let mut server = ControlServer::listen(&run_dir).unwrap();
        let asker = {
            let run_dir = run_dir.clone();
            std::thread::spawn(move || {
                ask(
                    &run_dir,
                    &Request::Stop {
                        signal: 15,
                        grace_ms: Some(1),
                    },
                )
            })
        };
        let request = serve_one(&mut server, &Reply::Ended { exit_code: Some(3) });
        assert_eq!(
            request,
            Request::Stop {
                signal: 15,
                grace_ms: Some(1)
            }
        );
        assert_eq!(
            asker.join().unwrap().unwrap(),
            Reply::Ended { exit_code: Some(3) }
        );
    }

    #[test]
    fn a_monitor_that_is_gone_is_told_from_one_that_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let gone = ask(dir.path(), &Request::Pause).unwrap_err();
        assert!(matches!(gone, ControlError::Unreachable { .. }), "{gone}");
        let server = ControlServer::listen(dir.path()).unwrap();
        drop(server);
        let dead = ask(dir.path(), &Request::Pause).unwrap_err();
        assert!(matches!(dead, ControlError::Unreachable { .. }), "{dead}");
    }
}
