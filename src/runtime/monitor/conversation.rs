//! The commands that a monitor talks with.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::io::Errno;

use super::MonitorError;
use super::console::Keyboard;
use super::control::{Connection, ControlServer, Incoming, Reply, Request, Screen};
use super::waits::{Source, Wake, Watched};

/// What the other side of a conversation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It has the word.
    Open,
    /// The end of the container.
    End,
    /// What the container's terminal shows; what it says is typed.
    Terminal,
    /// Nothing; what it says is typed into the container's terminal.
    Keys,
}

/// All conversations of one monitor.
#[derive(Debug)]
pub(super) struct Conversations {
    server: ControlServer,
    open: BTreeMap<usize, (Connection, Mode)>,
    next: usize,
    /// Whether there was no room for another conversation when one was to begin.
    is_deaf: bool,
}

/// Who is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Everybody.
    All,
    /// Nobody new, until [`Conversations::listen_again`].
    Nobody,
}

impl Conversations {
    /// Talks with whoever connects to the socket in the run folder.
    pub(super) fn open(run_dir: &Path) -> Result<Self, MonitorError> {
        let server =
            ControlServer::listen(run_dir).map_err(|source| MonitorError::Wait { source })?;
        Ok(Self {
            server,
            open: BTreeMap::new(),
            next: 0,
            is_deaf: false,
        })
    }

    /// Returns what to wait for; while the terminal is busy, nobody types.
    pub(super) fn sources(&self, keyboard: Keyboard) -> Vec<Watched<'_>> {
        let waiting = self.server.waiting().filter(|_| !self.is_deaf).into_iter();
        let server = waiting.map(|fd| Watched {
            source: Source::Control,
            fd,
            wake: Wake::Readable,
        });
        let open = self.open.iter();
        let open = open.map(|(&number, (connection, mode))| Watched {
            source: Source::Conversation(number),
            fd: connection.as_fd(),
            wake: match (mode, keyboard) {
                (Mode::Terminal | Mode::Keys, Keyboard::Busy) => Wake::Gone,
                (Mode::Terminal | Mode::Keys, Keyboard::Ready) | (Mode::Open | Mode::End, _) => {
                    Wake::Readable
                }
            },
        });
        server.chain(open).collect()
    }

    /// Begins the next conversation.
    pub(super) fn accept(&mut self) -> Result<Heard, MonitorError> {
        match self.server.accept() {
            Ok(Some(connection)) => {
                drop(self.open.insert(self.next, (connection, Mode::Open)));
                self.next += 1;
                Ok(Heard::All)
            }
            Ok(None) => Ok(Heard::All),
            Err(error) if is_want_of_room(&error) => {
                self.is_deaf = true;
                Ok(Heard::Nobody)
            }
            Err(source) => Err(MonitorError::Wait { source }),
        }
    }

    /// Listens again after there was no room for another conversation.
    pub(super) fn listen_again(&mut self) {
        self.is_deaf = false;
    }

    /// Returns what conversation `number` says, if it says anything that is to be answered.
    pub(super) fn receive(&mut self, number: usize) -> Option<Said> {
        let (connection, mode) = self.open.get(&number)?;
        if matches!(mode, Mode::Terminal | Mode::Keys) {
            let bytes = connection.receive_bytes();
            if bytes.is_none() {
                self.close_one(number);
            }
            return bytes.map(Said::Keys);
        }
        match connection.receive() {
            Incoming::Request(request) => Some(Said::Request(request)),
            Incoming::Nothing => None,
            Incoming::End => {
                self.close_one(number);
                None
            }
        }
    }

    fn close_one(&mut self, number: usize) {
        if let Some((connection, _)) = self.open.remove(&number) {
            self.server.closed(connection);
        }
    }

    /// Reports whether the other side of conversation `number` is gone.
    pub(super) fn is_left(&self, number: usize) -> bool {
        let connection = self.open.get(&number);
        connection.is_none_or(|(connection, _)| connection.is_closed())
    }

    /// Answers conversation `number`.
    pub(super) fn reply(&self, number: usize, reply: &Reply) {
        if let Some((connection, _)) = self.open.get(&number) {
            connection.reply(reply);
        }
    }

    /// Tells conversation `number` when the container has ended.
    pub(super) fn waits_for_end(&mut self, number: usize) {
        self.set_mode(number, Mode::End);
    }

    /// Makes conversation `number` one with the terminal.
    pub(super) fn attach(&mut self, number: usize, screen: Screen) {
        let mode = match screen {
            Screen::Shown => Mode::Terminal,
            Screen::Hidden => Mode::Keys,
        };
        self.set_mode(number, mode);
    }

    fn set_mode(&mut self, number: usize, mode: Mode) {
        if let Some((_, current)) = self.open.get_mut(&number) {
            *current = mode;
        }
    }

    /// Shows what the terminal shows to all who watch it.
    pub(super) fn pass_on(&self, bytes: &[u8]) {
        let watching = self
            .open
            .values()
            .filter(|(_, mode)| *mode == Mode::Terminal);
        for (connection, _) in watching {
            connection.send_bytes(bytes);
        }
    }

    /// Tells all who wait that the container has ended.
    pub(super) fn ended(&self, exit_code: Option<i32>) {
        for (connection, mode) in self.open.values() {
            if *mode == Mode::End {
                connection.reply(&Reply::Ended { exit_code });
            }
        }
    }
}

/// Reports whether we, or the machine, have no descriptors or memory left for now.
fn is_want_of_room(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
        )
    })
}

/// What a conversation says.
#[derive(Debug)]
pub(super) enum Said {
    /// A request.
    Request(Request),
    /// Keys for the terminal.
    Keys(Vec<u8>),
}
