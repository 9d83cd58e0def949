//! `consort [exec]`: enters a container's namespaces and makes the program's process there.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::request::ExecSettings;
use crate::runtime::container::init::{
    ABANDONED, Act, Failure, FinishPlan, Message, become_unseen, make_terminal, pass, report,
    use_files,
};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::clone::{CloneOptions, spawn};
use crate::runtime::kernel::namespace::{self, Namespaces};
use crate::runtime::kernel::process::{self, Dumpable};
use crate::runtime::kernel::reexec::take_passed;
use crate::runtime::kernel::rooted::{Target, TargetKind};

/// More than any settings come to.
const SETTINGS_LIMIT_BYTES: u64 = 16 << 20;

/// Runs the process in between; returns what it leaves with.
///
/// **Invariant:** called by `main` of a fresh process, before anything else, with the descriptors
/// that [`super::exec`] passes.
pub fn main() -> i32 {
    // First of all: what it is about to join must never look into it.
    if process::set_dumpable(Dumpable::No).is_err() {
        return ABANDONED;
    }
    let Some(passed) = take_passed() else {
        return ABANDONED;
    };
    let mut passed = passed.into_iter();
    let Some((settings, channel)) = receive(&mut passed) else {
        return ABANDONED;
    };
    match enter(&settings, passed, &channel) {
        Ok(()) => 0,
        Err(failure) => {
            report(&channel, failure);
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

/// Everything that the program's process needs, prepared while memory can still be had.
struct JoinPlan {
    container: OwnedFd,
    tasks: Vec<OwnedFd>,
    files: Option<[OwnedFd; 3]>,
    terminal: Option<(u16, u16)>,
    terminals: Target,
    proc: Target,
    finish: FinishPlan,
}

fn enter(
    settings: &ExecSettings,
    mut passed: impl Iterator<Item = OwnedFd>,
    channel: &Channel,
) -> Result<(), Failure> {
    let incomplete = || Failure {
        act: Act::Begin,
        index: 0,
        errno: Errno::BADMSG,
    };
    let container = passed.next().ok_or_else(incomplete)?;
    let tasks: Vec<OwnedFd> = passed.by_ref().take(settings.tasks).collect();
    let v2 = if settings.has_v2 {
        Some(passed.next().ok_or_else(incomplete)?)
    } else {
        None
    };
    let files = if settings.has_files {
        let mut next = || passed.next().ok_or_else(incomplete);
        Some([next()?, next()?, next()?])
    } else {
        None
    };
    let place =
        |path: &str| Target::new(path.as_ref(), TargetKind::Directory).map_err(|_| incomplete());
    let plan = JoinPlan {
        container,
        tasks,
        files,
        terminal: settings.terminal,
        terminals: place("/dev/pts")?,
        proc: place("/proc")?,
        finish: FinishPlan::new(&settings.process).map_err(|_| incomplete())?,
    };
    // Not yet the cgroup namespace: from within it nobody may be brought in from outside.
    let kinds = Namespaces::NEWNS
        | Namespaces::NEWPID
        | Namespaces::NEWNET
        | Namespaces::NEWIPC
        | Namespaces::NEWUTS;
    pass("exec.enter")?;
    namespace::enter_raw(&plan.container, kinds).map_err(Failure::of(Act::EnterNamespace, 0))?;
    let options = CloneOptions {
        namespaces: Namespaces::empty(),
        cgroup: v2.as_ref().map(|fd| fd.as_fd()),
        sibling: true,
    };
    let made =
        spawn(&options, &mut || run(&plan, channel)).map_err(Failure::of(Act::EnterCgroup, 0))?;
    Message::Made(made.pid.as_raw_nonzero().get())
        .send(channel, Some(made.pidfd.as_fd()))
        .map_err(Failure::of(Act::Begin, 0))
}

/// Runs in the program's process; returns only if it did not become the program.
fn run(plan: &JoinPlan, channel: &Channel) -> i32 {
    let failure = match prepare(plan, channel).and_then(|()| plan.finish.confine()) {
        Ok(()) => plan.finish.execute(),
        Err(failure) => failure,
    };
    report(channel, failure);
    ABANDONED
}

fn prepare(plan: &JoinPlan, channel: &Channel) -> Result<(), Failure> {
    become_unseen().map_err(Failure::of(Act::Begin, 0))?;
    for (index, tasks) in plan.tasks.iter().enumerate() {
        rustix::io::write(tasks, b"0").map_err(Failure::of(Act::EnterCgroup, index))?;
    }
    namespace::enter_raw(&plan.container, Namespaces::NEWCGROUP)
        .map_err(Failure::of(Act::EnterNamespace, 1))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root =
        rustix::fs::openat(CWD, c"/", flags, Mode::empty()).map_err(Failure::of(Act::Begin, 0))?;
    let uid = plan.finish.uid();
    let terminal = match plan.terminal {
        None => None,
        Some(size) => {
            let dir = plan
                .terminals
                .find(root.as_fd())
                .map_err(Failure::of(Act::Terminal, 0))?;
            let made = make_terminal(dir.as_fd(), size, uid);
            Some(made.map_err(Failure::of(Act::Terminal, 0))?)
        }
    };
    let cwd = plan.finish.find_working_directory(root.as_fd())?;
    let proc = find_proc(plan, root.as_fd());
    plan.finish.prepare(proc.as_ref(), &cwd)?;
    let stdio = match (&terminal, &plan.files) {
        (Some(terminal), _) => terminal.use_it(),
        (None, Some(files)) => use_files(files, uid),
        (None, None) => Err(Errno::BADF),
    };
    stdio.map_err(Failure::of(Act::Stdio, 0))?;
    plan.finish
        .take_session()
        .map_err(Failure::of(Act::Stdio, 1))?;
    let theirs = terminal.as_ref().map(|terminal| terminal.theirs.as_fd());
    Message::Ready
        .send(channel, theirs)
        .map_err(Failure::of(Act::Begin, 0))
}

/// Opens the container's /proc, if it is one: what is written there must go to the kernel.
fn find_proc(plan: &JoinPlan, root: BorrowedFd<'_>) -> Option<OwnedFd> {
    let found = plan.proc.find(root).ok()?;
    let is_proc = rustix::fs::fstatfs(&found).ok()?.f_type == PROC_MAGIC;
    is_proc.then_some(found)
}

const PROC_MAGIC: i64 = 0x9fa0;
