//! One netlink socket: bytes out, framed answers in.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

/// How long an answer of the kernel may take before the request counts as failed.
pub const NETLINK_TIMEOUT: Duration = Duration::from_secs(10);

/// The kernel sizes its answers by the buffer; above this it does not grow them.
pub(super) const BUFFER_BYTES: usize = 32 << 10;

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
pub(super) const NLM_F_REQUEST: u16 = 0x1;
pub(super) const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLM_F_CREATE: u16 = 0x400;

/// One framed answer.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
    /// Header and payload.
    pub(super) whole: &'a [u8],
}

impl Frame<'_> {
    /// Returns what an error or acknowledgement says, `None` for other frames.
    pub(super) fn verdict(&self) -> Option<io::Result<()>> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let code = self
            .payload
            .first_chunk::<4>()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        Some(if code == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(-code))
        })
    }
}

/// Whether more answers are awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    More,
    Done,
}

#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket for one part of the kernel; none is links, addresses and routes.
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        set_socket_timeout(&fd, Timeout::Recv, Some(NETLINK_TIMEOUT))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Returns the socket itself, to wait for it among others.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Listens to what changes, too: to the groups of this mask.
    pub(super) fn subscribe(&self, groups: u32) -> io::Result<()> {
        Ok(bind(&self.fd, &SocketAddrNetlink::new(0, groups))?)
    }

    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        let sent = sendto(&self.fd, bytes, SendFlags::empty(), &kernel)?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Hands every answer to `each` until it says that it has all of them.
    pub(super) fn receive(
        &self,
        mut each: impl FnMut(&Frame<'_>) -> io::Result<Next>,
    ) -> io::Result<()> {
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        while self.receive_some(&mut buffer, &mut each)? == Next::More {}
        Ok(())
    }

    /// Hands the answers of one read to `each`, until it says that it has all of them.
    pub(super) fn receive_some(
        &self,
        buffer: &mut [u8],
        each: &mut dyn FnMut(&Frame<'_>) -> io::Result<Next>,
    ) -> io::Result<Next> {
        loop {
            let count = match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((_, count)) => count,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if count > buffer.len() {
                return Err(io::Error::other(
                    "the answer of the kernel is longer than asked for",
                ));
            }
            let mut rest = &buffer[..count];
            while let Some((frame, after)) = split_frame(rest) {
                if each(&frame)? == Next::Done {
                    return Ok(Next::Done);
                }
                rest = after;
            }
            return Ok(Next::More);
        }
    }
}

fn split_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let whole = bytes.get(..length)?;
    let kind = u16::from_ne_bytes(whole.get(4..6)?.try_into().ok()?);
    let sequence = u32::from_ne_bytes(whole.get(8..12)?.try_into().ok()?);
    let payload = whole.get(HEADER_BYTES..)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some((
        Frame {
            kind,
            sequence,
            payload,
            whole,
        },
        after,
    ))
}

/// Writes a header in front of a message whose length is filled in by [`close_frame`].
pub(super) fn open_frame(bytes: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) -> usize {
    let start = bytes.len();
    bytes.extend_from_slice(&0_u32.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&0_u32.to_ne_bytes());
    start
}

/// Fills in the length of the message that begins at `start`, and pads it.
pub(super) fn close_frame(bytes: &mut Vec<u8>, start: usize) {
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_as_it_was_written() {
        let mut bytes = Vec::new();
        let start = open_frame(&mut bytes, NLMSG_ERROR, NLM_F_ACK, 7);
        bytes.extend_from_slice(&(-17_i32).to_ne_bytes());
        bytes.push(1);
        close_frame(&mut bytes, start);
        let (frame, rest) = split_frame(&bytes).unwrap();
        assert_eq!(
            (frame.kind, frame.sequence, rest.len()),
            (NLMSG_ERROR, 7, 0)
        );
        let error = frame.verdict().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_torn_frame_is_no_frame() {
        assert!(split_frame(&[]).is_none());
        assert!(split_frame(&[255, 0, 0, 0, 1, 2]).is_none());
        assert!(split_frame(&[4, 0, 0, 0]).is_none());
    }
}
