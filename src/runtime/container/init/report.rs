//! The fixed-size messages between a process that is being set up and those that wait for it.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::pidfd::Exit;

/// A step that can fail in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Act {
    /// Leave the parent's session, signals and descriptors behind.
    Begin,
    /// Enter a cgroup; the index is that of the hierarchy.
    EnterCgroup,
    /// Enter another container's namespace; the index is that of the descriptor.
    EnterNamespace,
    /// Make the cgroup namespace.
    CgroupNamespace,
    /// Set host or domain name.
    HostName,
    /// Cut the mounts off from the host's.
    Propagation,
    /// Attach the root filesystem.
    AttachRoot,
    /// Make a mount; the index is that of the mount.
    Mount,
    /// Copy what belongs to another container's namespace: 0 is its /proc, 1 its /dev/shm.
    Joined,
    /// Make a device; the index is that of the device.
    Device,
    /// Make the usual links in /dev.
    Links,
    /// Make the terminal.
    Terminal,
    /// Mask a path; the index is that of the path.
    Mask,
    /// Make a path read-only; the index is that of the path.
    ReadOnly,
    /// Set a kernel setting; the index is that of the setting.
    Sysctl,
    /// Make the new root the only one.
    Pivot,
    /// Make or enter the working directory.
    WorkingDirectory,
    /// Set a resource limit; the index is that of the limit.
    Rlimit,
    /// Set how eagerly the kernel ends it when memory is short.
    OomScore,
    /// Set the `AppArmor` profile.
    AppArmor,
    /// Become the user.
    User,
    /// Give up gaining privileges.
    NewPrivileges,
    /// Load the system call filter.
    Filter,
    /// Narrow the capabilities.
    Capabilities,
    /// Set up descriptors 0, 1 and 2.
    Stdio,
    /// Fork the program off the small init.
    Reaper,
    /// Make the program's process.
    Program,
    /// Begin in time.
    Late,
    /// Find the program.
    Find,
    /// Run the program.
    Execute,
    /// Run the program, which is there: something that it needs is not.
    Interpreter,
    /// A failpoint.
    Failpoint,
}

const ACTS: [Act; 32] = [
    Act::Begin,
    Act::EnterCgroup,
    Act::EnterNamespace,
    Act::CgroupNamespace,
    Act::HostName,
    Act::Propagation,
    Act::AttachRoot,
    Act::Mount,
    Act::Joined,
    Act::Device,
    Act::Links,
    Act::Terminal,
    Act::Mask,
    Act::ReadOnly,
    Act::Sysctl,
    Act::Pivot,
    Act::WorkingDirectory,
    Act::Rlimit,
    Act::OomScore,
    Act::AppArmor,
    Act::User,
    Act::NewPrivileges,
    Act::Filter,
    Act::Capabilities,
    Act::Stdio,
    Act::Reaper,
    Act::Program,
    Act::Late,
    Act::Find,
    Act::Execute,
    Act::Interpreter,
    Act::Failpoint,
];

/// A step that failed in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was being done.
    pub(crate) act: Act,
    /// To which of several things.
    pub(crate) index: usize,
    /// What the kernel answered.
    pub(crate) errno: Errno,
}

impl Failure {
    /// Names the act for `map_err`.
    pub(crate) fn of(act: Act, index: usize) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { act, index, errno }
    }

    pub(crate) fn source(self) -> io::Error {
        self.errno.into()
    }
}

/// What goes over the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// Child to parent: all is set up; the terminal comes with it if there is one.
    Ready,
    /// Parent to child: run the program.
    Start,
    /// Child to parent: it did not work.
    Failed(Failure),
    /// The process that set everything up, to its parent: the program's process is made and has this
    /// number. The program's process holds the channel too, so the parent checks that it is its child.
    Made(i32),
    /// The watcher of `exec` to its caller: the program has ended.
    Ended(Exit),
    /// The caller of `exec` to the watcher: it leaves, and the program goes on.
    Leave,
}

/// The length of every message.
pub(crate) const MESSAGE_BYTES: usize = 10;

impl Message {
    /// Sends the message, with a descriptor if there is one.
    pub(crate) fn send(self, channel: &Channel, fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        channel.send(&self.to_bytes(), fd)
    }

    /// Sends the message as a process does that is confined already.
    pub(crate) fn write(self, channel: &Channel) -> Result<(), Errno> {
        channel.write(&self.to_bytes())
    }

    fn to_bytes(self) -> [u8; MESSAGE_BYTES] {
        let mut bytes = [0; MESSAGE_BYTES];
        match self {
            Self::Ready => bytes[0] = b'r',
            Self::Start => bytes[0] = b's',
            Self::Made(pid) => {
                bytes[0] = b'm';
                bytes[2..6].copy_from_slice(&pid.to_ne_bytes());
            }
            Self::Ended(exit) => {
                let (kind, value) = match exit {
                    Exit::Code(code) => (b'c', code),
                    Exit::Signal(signal) => (b's', signal),
                    Exit::Unknown => (b'u', 0),
                };
                bytes[..2].copy_from_slice(&[b'e', kind]);
                bytes[2..6].copy_from_slice(&value.to_ne_bytes());
            }
            Self::Leave => bytes[0] = b'l',
            Self::Failed(Failure { act, index, errno }) => {
                bytes[0] = b'f';
                bytes[1] = act as u8;
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                bytes[2..6].copy_from_slice(&index.to_ne_bytes());
                bytes[6..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
            }
        }
        bytes
    }

    /// Reads a message back; `None` if it is none of ours, as the empty one at the end.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; MESSAGE_BYTES] = bytes.try_into().ok()?;
        match bytes {
            [b'r', ..] => Some(Self::Ready),
            [b's', ..] => Some(Self::Start),
            [b'm', _, p0, p1, p2, p3, ..] => {
                Some(Self::Made(i32::from_ne_bytes([*p0, *p1, *p2, *p3])))
            }
            [b'e', kind, v0, v1, v2, v3, ..] => {
                let value = i32::from_ne_bytes([*v0, *v1, *v2, *v3]);
                Some(Self::Ended(match kind {
                    b'c' => Exit::Code(value),
                    b's' => Exit::Signal(value),
                    _ => Exit::Unknown,
                }))
            }
            [b'l', ..] => Some(Self::Leave),
            [b'f', act, i0, i1, i2, i3, e0, e1, e2, e3] => Some(Self::Failed(Failure {
                act: *ACTS.get(usize::from(*act))?,
                index: usize::try_from(u32::from_ne_bytes([*i0, *i1, *i2, *i3])).ok()?,
                errno: Errno::from_raw_os_error(i32::from_ne_bytes([*e0, *e1, *e2, *e3])),
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_survives_the_channel() {
        for (number, act) in ACTS.into_iter().enumerate() {
            assert_eq!(act as usize, number);
            let failure = Failure {
                act,
                index: 70_000,
                errno: Errno::NOENT,
            };
            let message = Message::Failed(failure);
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
        for exit in [Exit::Code(300), Exit::Signal(9), Exit::Unknown] {
            let message = Message::Ended(exit);
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
        assert_eq!(Message::from_bytes(&[]), None);
        assert_eq!(Message::from_bytes(b"f\xff00000000"), None);
    }
}
