//! The epoll set, and what each descriptor in it is for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Events that are taken from the kernel at once.
const EVENTS: usize = 64;

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    /// Somebody changed what the thread should do.
    Control,
    /// Questions in datagrams.
    DnsDatagrams,
    /// New connections with questions.
    DnsListener,
    /// A connection with questions.
    DnsClient(u32),
    /// A question that went to the host's resolvers.
    DnsUpstream(u32),
    /// New connections to a published port.
    StreamListener(u32),
    /// Either side of a connection to a published port.
    Stream(u32),
    /// Datagrams to a published port.
    DatagramListener(u32),
    /// Datagrams back from the container.
    DatagramSession(u32),
}

impl Token {
    fn encode(self) -> EventData {
        let (kind, id) = match self {
            Self::Control => (0, 0),
            Self::DnsDatagrams => (1, 0),
            Self::DnsListener => (2, 0),
            Self::DnsClient(id) => (3, id),
            Self::DnsUpstream(id) => (4, id),
            Self::StreamListener(id) => (5, id),
            Self::Stream(id) => (6, id),
            Self::DatagramListener(id) => (7, id),
            Self::DatagramSession(id) => (8, id),
        };
        EventData::new_u64((kind << 32) | u64::from(id))
    }

    fn decode(data: EventData) -> Option<Self> {
        let number = data.u64();
        let id = u32::try_from(number & u64::from(u32::MAX)).ok()?;
        Some(match number >> 32 {
            0 => Self::Control,
            1 => Self::DnsDatagrams,
            2 => Self::DnsListener,
            3 => Self::DnsClient(id),
            4 => Self::DnsUpstream(id),
            5 => Self::StreamListener(id),
            6 => Self::Stream(id),
            7 => Self::DatagramListener(id),
            8 => Self::DatagramSession(id),
            _ => return None,
        })
    }
}

/// How a descriptor wakes the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// As long as something can be read.
    Readable,
    /// Once for every change in either direction: for who works until nothing is left.
    Changes,
}

impl Wake {
    fn flags(self) -> EventFlags {
        match self {
            Self::Readable => EventFlags::IN,
            Self::Changes => EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
        }
    }
}

#[derive(Debug)]
pub(super) struct Reactor {
    epoll: OwnedFd,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    pub(super) fn add(&self, fd: impl AsFd, token: Token, wake: Wake) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, token.encode(), wake.flags())?)
    }

    /// Forgets a descriptor that stays open; one that is closed is forgotten by the kernel.
    pub(super) fn remove(&self, fd: impl AsFd) {
        // Only a descriptor that was never added fails here, and it needs no forgetting.
        let _known = epoll::delete(&self.epoll, fd);
    }

    /// Sleeps until something happens or the time is over.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let buffer = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(events
            .iter()
            .filter_map(|event| Token::decode(event.data))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for token in [Token::Control, Token::DnsClient(7), Token::Stream(u32::MAX)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }
}
