//! A container's terminal from the monitor's side; never blocks.
//!
//! **Invariant:** keys that the terminal does not take now are kept, and until it has taken them all
//! nobody's further keys are read: who types faster than the program reads is slowed down, alone.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use super::waits::{Source, Wake, Watched};

/// How much of what a terminal shows is read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Whether the terminal takes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyboard {
    /// It does, or there is none that could not.
    Ready,
    /// It still has some to take.
    Busy,
}

/// The monitor's end of a terminal.
#[derive(Debug)]
pub(super) struct Console {
    file: File,
    keys: Vec<u8>,
}

/// What a look at a terminal brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// This; nothing for now when it is empty.
    Bytes(Vec<u8>),
    /// Nothing any more: the last program has closed it.
    End,
}

impl Console {
    /// Takes our end of a terminal over.
    pub(super) fn new(end: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&end, true)?;
        Ok(Self {
            file: end.into(),
            keys: Vec::new(),
        })
    }

    /// Returns what to wait for.
    pub(super) fn source(&self) -> Watched<'_> {
        let wake = match self.keyboard() {
            Keyboard::Ready => Wake::Readable,
            Keyboard::Busy => Wake::ReadableOrWritable,
        };
        Watched {
            source: Source::Console,
            fd: self.file.as_fd(),
            wake,
        }
    }

    /// Returns the terminal itself, to set its size.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Reports whether keys are still to be taken.
    pub(super) fn keyboard(&self) -> Keyboard {
        if self.keys.is_empty() {
            Keyboard::Ready
        } else {
            Keyboard::Busy
        }
    }

    /// Types keys after those that are still to be taken.
    pub(super) fn type_keys(&mut self, keys: &[u8]) {
        self.keys.extend_from_slice(keys);
        self.press();
    }

    /// Hands as many keys over as the terminal takes.
    pub(super) fn press(&mut self) {
        while !self.keys.is_empty() {
            match self.file.write(&self.keys) {
                Ok(count) if count > 0 => drop(self.keys.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody will read them.
                Ok(_) | Err(_) => self.keys.clear(),
            }
        }
        // Its room goes with them: a monitor is small.
        self.keys = Vec::new();
    }

    /// Reads what the terminal shows, at most one chunk.
    pub(super) fn read(&mut self) -> Shown {
        let mut buffer = vec![0; CHUNK_BYTES];
        match self.file.read(&mut buffer) {
            Ok(count) if count > 0 => {
                buffer.truncate(count);
                Shown::Bytes(buffer)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Shown::Bytes(Vec::new())
            }
            // EIO: the last program has closed it.
            Ok(_) | Err(_) => Shown::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

    use super::*;

    #[test]
    fn keys_that_nobody_reads_are_kept_and_all_arrive_once_somebody_does() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let mut program = File::from(ioctl_tiocgptpeer(&ours, flags).unwrap());
        let mut raw = tcgetattr(&program).unwrap();
        raw.make_raw();
        tcsetattr(&program, OptionalActions::Now, &raw).unwrap();
        let mut console = Console::new(ours).unwrap();
        let typed: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        console.type_keys(&typed);
        assert_eq!(console.keyboard(), Keyboard::Busy);
        assert_eq!(console.read(), Shown::Bytes(Vec::new()));
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        while read.len() < typed.len() {
            let count = program.read(&mut chunk).unwrap();
            read.extend_from_slice(&chunk[..count]);
            console.press();
        }
        assert!(read == typed, "every key arrives, in order");
        assert_eq!(console.keyboard(), Keyboard::Ready);
        drop(program);
        assert_eq!(console.read(), Shown::End);
    }
}
