//! Messages with descriptors between a process and the one it made.
//!
//! **Invariant:** sending and receiving allocate nothing.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// One end of a pair; each send arrives as one message, the end of the other side as an empty one.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// A message that arrived.
#[derive(Debug)]
pub struct Received {
    /// How many bytes of the buffer it filled; zero when the other side is gone.
    pub length: usize,
    /// The descriptor that came with it.
    pub fd: Option<OwnedFd>,
}

impl Channel {
    /// Makes a connected pair.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// Takes over a descriptor that was made by [`Channel::pair`] in another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Tells the other side that nothing more is said or heard here.
    pub fn close(&self) -> Result<(), Errno> {
        rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Both)
    }

    /// Gives the descriptor up, to be passed to a new process.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends one message and at most one descriptor.
    pub fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds;
        if let Some(fd) = fd {
            fds = [fd];
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        loop {
            // Without a signal when the other side is gone: that is an answer like any other.
            match rustix::net::sendmsg(
                &self.fd,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            ) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Sends one message by the call that even a strict system call filter allows.
    ///
    /// Unlike [`send`](Self::send) it ends the process where the other side is gone.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, bytes)).map(drop)
    }

    /// Waits for one message.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received, Errno> {
        self.take(buffer, RecvFlags::CMSG_CLOEXEC)
    }

    /// Takes one message if there is one; [`Errno::AGAIN`] if there is none yet.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Received, Errno> {
        self.take(buffer, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    /// Waits for one message, at most so long; [`Errno::TIMEDOUT`] if none has come.
    pub fn receive_within(&self, buffer: &mut [u8], limit_s: u16) -> Result<Received, Errno> {
        let limit = Timespec {
            tv_sec: i64::from(limit_s),
            tv_nsec: 0,
        };
        let mut watched = [PollFd::new(&self.fd, PollFlags::IN)];
        // An interruption begins the time anew: a longer wait, never a wrong one.
        match rustix::io::retry_on_intr(|| poll(&mut watched, Some(&limit)))? {
            0 => Err(Errno::TIMEDOUT),
            _ => self.try_receive(buffer),
        }
    }

    fn take(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<Received, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            match rustix::net::recvmsg(
                &self.fd,
                &mut [IoSliceMut::new(buffer)],
                &mut control,
                flags,
            ) {
                Err(Errno::INTR) => {}
                // The other side ended with something of ours unread: it is gone all the same.
                Err(Errno::CONNRESET) => break 0,
                Err(errno) => return Err(errno),
                Ok(message) => break message.bytes,
            }
        };
        let mut fd = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut rights) = message {
                fd = rights.next();
            }
        }
        Ok(Received { length, fd })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
