//! `consort [exec]`: the watcher of one program, between its caller and the joining process.
//!
//! **Invariant:** the watcher stays on the host's side of every namespace, so the container can neither
//! see, stop nor delay it. It is the program's parent and reaps it at once, whatever its caller does:
//! a container cannot end as a whole while one of its processes waits to be reaped.

#![expect(
    clippy::disallowed_methods,
    reason = "the watcher is a process of its own, as cli is, and owns its clock"
)]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::join::{self, JoinPlan};
use super::request::ExecSettings;
use crate::runtime::container::init::{ABANDONED, Act, Failure, MESSAGE_BYTES, Message, report};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::clone::{CloneOptions, spawn};
use crate::runtime::kernel::family;
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::kernel::process::{self, Dumpable};
use crate::runtime::kernel::reexec::take_passed;

/// More than any settings come to.
const SETTINGS_LIMIT_BYTES: u64 = 16 << 20;
/// How long the program may take to begin; a container can stop its process on the way.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the end of a process that has nothing more to do is waited for.
const END_LIMIT_MS: u64 = 2_000;

/// Runs the watcher; returns what it leaves with.
///
/// **Invariant:** called by `main` of a fresh process, before anything else, with the descriptors
/// that [`super::begin`] passes.
pub fn main() -> i32 {
    if process::set_dumpable(Dumpable::No).is_err() {
        return ABANDONED;
    }
    let Some(passed) = take_passed() else {
        return ABANDONED;
    };
    let mut passed = passed.into_iter();
    let Some((settings, caller)) = receive(&mut passed) else {
        return ABANDONED;
    };
    let begun = JoinPlan::new(&settings, passed).and_then(|plan| Watcher::begin(plan, &caller));
    match begun.and_then(Watcher::run) {
        Ok(()) => 0,
        Err(failure) => {
            report(&caller, failure);
            ABANDONED
        }
    }
}

fn receive(passed: &mut impl Iterator<Item = OwnedFd>) -> Option<(ExecSettings, Channel)> {
    let file = File::from(passed.next()?);
    let channel = Channel::from_fd(passed.next()?);
    let mut bytes = Vec::new();
    file.take(SETTINGS_LIMIT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    let settings = serde_json::from_slice(&bytes).ok()?;
    Some((settings, channel))
}

/// A program and what it takes to look after it.
struct Watcher<'a> {
    caller: &'a Channel,
    /// What the joining process tells, and the program's process until it is the program.
    channel: Channel,
    joiner: Pidfd,
    program: Option<Pidfd>,
    is_ready: bool,
    terminal: Option<OwnedFd>,
}

impl<'a> Watcher<'a> {
    /// Makes the joining process, in the container's cgroup from its first instruction on.
    fn begin(plan: JoinPlan, caller: &'a Channel) -> Result<Self, Failure> {
        let (channel, theirs) = Channel::pair().map_err(Failure::of(Act::Begin, 0))?;
        let options = CloneOptions {
            namespaces: Namespaces::empty(),
            cgroup: plan.cgroup(),
        };
        let made = spawn(&options, &mut || {
            join::run(&plan, &theirs, [&channel, caller])
        })
        .map_err(Failure::of(Act::EnterCgroup, 0))?;
        Ok(Self {
            caller,
            channel,
            joiner: Pidfd::from_parts(made.pidfd, made.pid.as_raw_nonzero().get()),
            program: None,
            is_ready: false,
            terminal: None,
        })
    }

    /// Sees the program begin and end.
    fn run(mut self) -> Result<(), Failure> {
        if let Err(failure) = self.wait_until_begun() {
            // Also a program's process of which nothing was heard yet.
            family::end_descendants();
            return Err(failure);
        }
        reap(&self.joiner);
        let Some(program) = self.program.take() else {
            family::end_descendants();
            return Ok(());
        };
        let terminal = self.terminal.take();
        let terminal = terminal.as_ref().map(|terminal| terminal.as_fd());
        // A caller that is gone is noticed next.
        Message::Ready.send(self.caller, terminal).ok();
        self.wait_until_ended(&program);
        Ok(())
    }

    /// Collects what is told until the channel ends: then the program runs.
    fn wait_until_begun(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + BEGIN_LIMIT;
        let mut failed = None;
        let mut buffer = [0; MESSAGE_BYTES];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let fds = [self.channel.as_fd(), self.caller.as_fd()];
            let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let ready = wait(&mut fds, Some(left)).map_err(Failure::of(Act::Begin, 0))?;
            if ready == 0 {
                return Err(Failure::of(Act::Late, 0)(Errno::TIMEDOUT));
            }
            if !fds[1].revents().is_empty() && hear(self.caller) == Caller::Gone {
                return Err(Failure::of(Act::Begin, 0)(Errno::CANCELED));
            }
            let received = match self.channel.try_receive(&mut buffer) {
                Err(Errno::AGAIN) => continue,
                received => received.map_err(Failure::of(Act::Begin, 0))?,
            };
            if received.length == 0 {
                return failed.map_or(Ok(()), Err);
            }
            match Message::from_bytes(&buffer[..received.length]) {
                Some(Message::Ready) if !self.is_ready => {
                    self.is_ready = true;
                    self.terminal = received.fd;
                }
                Some(Message::Made(pid)) if self.program.is_none() => {
                    self.program = self.own_child(pid);
                }
                Some(Message::Failed(failure)) => failed = failed.or(Some(failure)),
                // The container can get hold of the program's end of the channel while that begins.
                Some(
                    Message::Ready
                    | Message::Made(_)
                    | Message::Start
                    | Message::Ended(_)
                    | Message::Leave,
                )
                | None => {}
            }
        }
    }

    /// Opens the program's process by the number that the channel told, which may be anyone's.
    fn own_child(&self, pid: i32) -> Option<Pidfd> {
        let process = Pidfd::open(pid).ok()?;
        (pid != self.joiner.pid() && process.is_our_child()).then_some(process)
    }

    /// Reaps the program and tells how it ended; ends it when the caller is gone without leave.
    fn wait_until_ended(&self, program: &Pidfd) {
        let mut caller = Caller::Listens;
        loop {
            let fds = [program.as_fd(), self.caller.as_fd()];
            let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let watched = match caller {
                Caller::Listens => &mut fds[..],
                Caller::HasLeft | Caller::Gone => &mut fds[..1],
            };
            if wait(watched, None).is_err() {
                return family::end_descendants();
            }
            if !fds[0].revents().is_empty() {
                if let Ok(Some(exit)) = program.exit(0) {
                    // The receiver is gone if the caller has left.
                    Message::Ended(exit).send(self.caller, None).ok();
                }
                return;
            }
            caller = hear(self.caller);
            if caller == Caller::Gone {
                return family::end_descendants();
            }
        }
    }
}

/// What is known of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Listens,
    /// The program goes on without it.
    HasLeft,
    /// It was ended, or wants the program ended.
    Gone,
}

fn hear(caller: &Channel) -> Caller {
    let mut buffer = [0; MESSAGE_BYTES];
    match caller.try_receive(&mut buffer) {
        Ok(received) if received.length == 0 => Caller::Gone,
        Ok(received) if Message::from_bytes(&buffer[..received.length]) == Some(Message::Leave) => {
            Caller::HasLeft
        }
        Ok(_) | Err(Errno::AGAIN) => Caller::Listens,
        Err(_) => Caller::Gone,
    }
}

/// Reaps a child that has ended or is about to.
fn reap(child: &Pidfd) {
    drop(child.wait_until_ended(Some(END_LIMIT_MS)));
    drop(child.exit(0));
}

fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<usize, Errno> {
    let limit = limit.map(|limit| Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    });
    // An interruption begins the time anew: a longer wait, never a wrong one.
    rustix::io::retry_on_intr(|| poll(fds, limit.as_ref()))
}
