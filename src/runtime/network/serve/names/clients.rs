//! Connections with questions: each message has its length in front.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use crate::runtime::network::serve::reactor::{Reactor, Token, Wake};

use super::QUESTION_BYTES;

/// Connections at a time; the oldest makes room for a new one.
const CLIENTS_LIMIT: usize = 64;
/// How long a connection may live.
const CLIENT_LIFETIME: Duration = Duration::from_secs(5);
/// Answers that wait for a client that does not read.
const OUTPUT_LIMIT_BYTES: usize = 256 << 10;

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    deadline: Instant,
}

/// The numbers only grow, so that the lowest is the oldest.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: BTreeMap<u32, Client>,
    next_id: u32,
}

impl Clients {
    pub(super) fn accept(&mut self, listener: &OwnedFd, now: Instant, reactor: &Reactor) {
        for _ in 0..CLIENTS_LIMIT {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Ok(socket) = accept_with(listener, flags) else {
                return;
            };
            if self.open.len() >= CLIENTS_LIMIT {
                drop(self.open.pop_first());
            }
            let id = self.next_id;
            self.next_id = self.next_id.wrapping_add(1);
            if reactor
                .add(&socket, Token::DnsClient(id), Wake::Changes)
                .is_ok()
            {
                let deadline = now + CLIENT_LIFETIME;
                let client = Client {
                    socket,
                    input: Vec::new(),
                    output: Vec::new(),
                    deadline,
                };
                self.open.insert(id, client);
            }
        }
    }

    /// Returns the questions that have arrived whole; sends what had to wait.
    pub(super) fn read(&mut self, id: u32) -> Vec<Vec<u8>> {
        let Some(client) = self.open.get_mut(&id) else {
            return Vec::new();
        };
        let mut questions = Vec::new();
        let alive = client.flush().and_then(|()| client.read(&mut questions));
        if !matches!(alive, Ok(true)) {
            drop(self.open.remove(&id));
        }
        questions
    }

    pub(super) fn write(&mut self, id: u32, answer: &[u8]) {
        let Some(client) = self.open.get_mut(&id) else {
            return;
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return;
        };
        client.output.extend_from_slice(&length.to_be_bytes());
        client.output.extend_from_slice(answer);
        if client.flush().is_err() || client.output.len() > OUTPUT_LIMIT_BYTES {
            drop(self.open.remove(&id));
        }
    }

    /// Closes what lived too long; returns when to look again.
    pub(super) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        while let Some(oldest) = self.open.first_entry() {
            if oldest.get().deadline > now {
                return Some(oldest.get().deadline);
            }
            drop(oldest.remove());
        }
        None
    }
}

impl Client {
    /// Returns whether the connection may bring more questions.
    fn read(&mut self, questions: &mut Vec<Vec<u8>>) -> io::Result<bool> {
        let mut buffer = [0_u8; 1024];
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                // Somebody who says nothing more may still wait for answers, until the deadline.
                Ok((_, 0)) => return Ok(!self.output.is_empty() || !questions.is_empty()),
                Ok((_, count)) => self.input.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.split(questions)?;
        }
    }

    fn split(&mut self, questions: &mut Vec<Vec<u8>>) -> io::Result<()> {
        while let Some(length) = self.input.first_chunk::<2>() {
            let end = usize::from(u16::from_be_bytes(*length)) + 2;
            if end > QUESTION_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.input.len() < end {
                return Ok(());
            }
            let rest = self.input.split_off(end);
            let question = std::mem::replace(&mut self.input, rest);
            questions.push(question[2..].to_vec());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match send(&self.socket, &self.output, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
