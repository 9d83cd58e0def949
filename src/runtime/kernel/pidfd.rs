//! A process that can be signalled, waited for and asked for its exit, and never mistaken.
//!
//! **Invariant:** a remembered process is its number *and* its start time; a number alone is never
//! signalled.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::process::check;

/// What to remember of a process so that it can be found again, or known to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number in the pid namespace of whoever remembers it.
    pub pid: i32,
    /// When it began, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// What `/proc/PID/stat` has room in.
const STAT_BYTES: usize = 1 << 10;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It has ended, but nobody can say how: its parent reaped it on a kernel before 6.15.
    Unknown,
}

impl Exit {
    /// Returns the code a shell would show: the code itself, 128 plus the signal, or 255.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::Unknown => 255,
        }
    }

    fn from_wait_status(status: i32) -> Self {
        let signal = status & 0x7f;
        if signal == 0 {
            Self::Code((status >> 8) & 0xff)
        } else {
            Self::Signal(signal)
        }
    }
}

/// A handle on one process.
#[derive(Debug)]
pub struct Pidfd {
    fd: OwnedFd,
    pid: i32,
}

impl Pidfd {
    /// Takes over a descriptor that `clone` made for the process `pid`.
    pub fn from_parts(fd: OwnedFd, pid: i32) -> Self {
        Self { fd, pid }
    }

    /// Opens whichever process has this number now.
    pub fn open(pid: i32) -> Result<Self, KernelError> {
        let number = Pid::from_raw(pid).ok_or(KernelError::ProcessGone { pid })?;
        match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self { fd, pid }),
            Err(Errno::SRCH) => Err(KernelError::ProcessGone { pid }),
            Err(errno) => Err(KernelError::call_on("open process", &pid)(errno)),
        }
    }

    /// Opens the process that was remembered; [`KernelError::ProcessGone`] if another has its number.
    pub fn open_verified(identity: ProcessIdentity) -> Result<Self, KernelError> {
        let process = Self::open(identity.pid)?;
        // Read after opening: if it matches now, it matched when the descriptor was made.
        if process.identity()? == identity {
            Ok(process)
        } else {
            Err(KernelError::ProcessGone { pid: identity.pid })
        }
    }

    /// Returns what to remember of the process, while it has not been reaped.
    pub fn identity(&self) -> Result<ProcessIdentity, KernelError> {
        let gone = KernelError::ProcessGone { pid: self.pid };
        let mut stat = [0; STAT_BYTES];
        // The kernel hands such a file over in one piece.
        let read = File::open(format!("/proc/{}/stat", self.pid))
            .and_then(|mut file| file.read(&mut stat));
        let Ok(count) = read else {
            return Err(gone);
        };
        let start_ticks = start_ticks_of(&stat[..count]).ok_or(gone)?;
        Ok(ProcessIdentity {
            pid: self.pid,
            start_ticks,
        })
    }

    /// Returns the number of the process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns another handle on the same process.
    pub fn try_clone(&self) -> Result<Self, KernelError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)
            .map_err(KernelError::call("copy a process handle"))?;
        Ok(Self { fd, pid: self.pid })
    }

    /// Gives the descriptor up, to be passed to a new process.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends a signal by number; [`KernelError::ProcessGone`] when there is nobody left.
    pub fn signal(&self, signal: i32) -> Result<(), KernelError> {
        let null: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: the descriptor is open because we own it, and a null siginfo is allowed.
        let sent = check(unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal,
                null,
                0,
            )
        });
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::SRCH) => Err(KernelError::ProcessGone { pid: self.pid }),
            Err(errno) => Err(KernelError::call_on("signal process", &self.pid)(errno)),
        }
    }

    /// Says whether the process has ended, reaped or not.
    pub fn has_ended(&self) -> Result<bool, KernelError> {
        self.wait_until_ended(Some(0))
    }

    /// Waits until the process has ended, at most so long; says whether it has.
    pub fn wait_until_ended(&self, timeout_ms: Option<u64>) -> Result<bool, KernelError> {
        self.poll(PollFlags::IN, timeout_ms)
    }

    /// Waits until the ended process was reaped by its parent, at most so long; says whether it was.
    pub fn wait_until_reaped(&self, timeout_ms: Option<u64>) -> Result<bool, KernelError> {
        // A hang-up is reported whether or not it is asked for.
        self.poll(PollFlags::empty(), timeout_ms)
    }

    fn poll(&self, events: PollFlags, timeout_ms: Option<u64>) -> Result<bool, KernelError> {
        let timeout = timeout_ms.map(|ms| Timespec {
            tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(ms % 1000).unwrap_or(0) * 1_000_000,
        });
        loop {
            match rustix::event::poll(&mut [PollFd::new(&self.fd, events)], timeout.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                // With a time limit an interruption starts it anew: a longer wait, never a wrong one.
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(KernelError::call_on("wait for process", &self.pid)(errno));
                }
            }
        }
    }

    /// Says whether the process is a child of ours that we have not reaped.
    pub fn is_our_child(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::PidFd(self.fd.as_fd()), options).is_ok()
    }

    /// Returns how the process ended, or `None` while it runs.
    ///
    /// Reaps it if it is our child. If it is somebody else's, the kernel tells once its parent has
    /// reaped it, which is waited for at most `patience_ms`.
    pub fn exit(&self, patience_ms: u64) -> Result<Option<Exit>, KernelError> {
        match rustix::process::waitid(
            WaitId::PidFd(self.fd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(None) => Ok(None),
            Ok(Some(status)) => Ok(Some(
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => Exit::Unknown,
                },
            )),
            Err(Errno::CHILD) => self.exit_of_stranger(patience_ms),
            Err(errno) => Err(KernelError::call_on("wait for process", &self.pid)(errno)),
        }
    }

    fn exit_of_stranger(&self, patience_ms: u64) -> Result<Option<Exit>, KernelError> {
        if !self.has_ended()? {
            return Ok(None);
        }
        if !self.wait_until_reaped(Some(patience_ms))? {
            return Ok(Some(Exit::Unknown));
        }
        let mut info = PidfdInfo {
            mask: PIDFD_INFO_EXIT,
            ..PidfdInfo::default()
        };
        // SAFETY: the structure has the size that the request number carries and lives through the call.
        let asked = check(libc::c_long::from(unsafe {
            libc::ioctl(self.fd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info)
        }));
        if asked.is_ok() && info.mask & PIDFD_INFO_EXIT != 0 {
            return Ok(Some(Exit::from_wait_status(info.exit_code)));
        }
        Ok(Some(Exit::Unknown))
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `struct pidfd_info` of `linux/pidfd.h`, first published size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`
const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
const _: () = assert!(
    size_of::<PidfdInfo>() == 0x40,
    "the request number carries this size"
);

fn start_ticks_of(stat: &[u8]) -> Option<u64> {
    // The second field is the name in parentheses and may hold anything, also parentheses.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    text.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_start_time() {
        let stat = b"7 (a) b) (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1";
        assert_eq!(start_ticks_of(stat), Some(4242));
    }

    #[test]
    fn our_own_identity_is_found_again_and_another_start_time_is_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let identity = Pidfd::open(pid).unwrap().identity().unwrap();
        assert!(Pidfd::open_verified(identity).is_ok());
        let other = ProcessIdentity {
            start_ticks: identity.start_ticks + 1,
            ..identity
        };
        assert!(matches!(
            Pidfd::open_verified(other),
            Err(KernelError::ProcessGone { .. })
        ));
    }

    #[test]
    fn wait_status_is_read_as_the_shell_reads_it() {
        assert_eq!(Exit::from_wait_status(0x2a00), Exit::Code(42));
        assert_eq!(Exit::from_wait_status(0x0009), Exit::Signal(9));
        assert_eq!(Exit::Signal(9).shell_code(), 137);
    }
}
