//! The joining process: settings → the program's process, harmless before the container can see it.
//!
//! The joining process enters the container's namespaces, but not its pid namespace: only the process
//! that it makes does. So all that needs rights or descriptors of the host is done here.
//!
//! **Invariant:** when the program's process is made, the joining process has the container's root,
//! working directory, user, capabilities and system call filter, and of descriptors the program's own
//! three and the channel for its failure.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::request::ExecSettings;
use crate::runtime::container::init::{
    ABANDONED, Act, Failure, FinishPlan, Message, become_unseen, make_program, make_terminal, pass,
    report, use_files,
};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::namespace::{self, Namespaces};
use crate::runtime::kernel::pidfd::Pidfd;
use crate::runtime::kernel::process;
use crate::runtime::kernel::rooted::{Target, TargetKind};

/// Everything that the joining process needs, prepared while memory can still be had.
pub(super) struct JoinPlan {
    container: Pidfd,
    kinds: Namespaces,
    tasks: Vec<OwnedFd>,
    v2: Option<OwnedFd>,
    files: Option<[OwnedFd; 3]>,
    terminal: Option<(u16, u16)>,
    terminals: Target,
    /// The host's procfs, through which the joining process reaches its own files.
    proc: OwnedFd,
    finish: FinishPlan,
}

impl JoinPlan {
    /// Takes over the descriptors that the settings speak of.
    pub(super) fn new(
        settings: &ExecSettings,
        mut passed: impl Iterator<Item = OwnedFd>,
    ) -> Result<Self, Failure> {
        let incomplete = || Failure {
            act: Act::Begin,
            index: 0,
            errno: Errno::BADMSG,
        };
        let container = Pidfd::from_parts(passed.next().ok_or_else(incomplete)?, settings.pid);
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
        Ok(Self {
            kinds: namespaces_to_enter(&container).map_err(Failure::of(Act::EnterNamespace, 0))?,
            container,
            tasks,
            v2,
            files,
            terminal: settings.terminal,
            terminals: Target::new(Path::new("/dev/pts"), TargetKind::Directory)
                .map_err(|_| incomplete())?,
            proc: open_directory(c"/proc").map_err(Failure::of(Act::Begin, 0))?,
            finish: FinishPlan::new(&settings.process).map_err(|_| incomplete())?,
        })
    }

    /// Returns the v2 cgroup in which the joining process begins.
    pub(super) fn cgroup(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(|fd| fd.as_fd())
    }
}

/// Returns which of the container's namespaces are not ours already: an ordinary user may not enter
/// those of the host, not even when in them.
fn namespaces_to_enter(container: &Pidfd) -> Result<Namespaces, Errno> {
    let kinds = [
        ("pid", Namespaces::NEWPID),
        ("net", Namespaces::NEWNET),
        ("ipc", Namespaces::NEWIPC),
        ("uts", Namespaces::NEWUTS),
        ("cgroup", Namespaces::NEWCGROUP),
    ];
    let mut wanted = Namespaces::NEWNS;
    for (name, kind) in kinds {
        let theirs = rustix::fs::stat(format!("/proc/{}/ns/{name}", container.pid()))?;
        let ours = rustix::fs::stat(format!("/proc/self/ns/{name}"))?;
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino) {
            wanted |= kind;
        }
    }
    // Still the same process, so what was looked at by its number is its own.
    match container.has_ended() {
        Ok(false) => Ok(wanted),
        Ok(true) | Err(_) => Err(Errno::SRCH),
    }
}

fn open_directory(path: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// Runs the joining process; `watchers` are the watcher's ends of its channels.
pub(super) fn run(plan: &JoinPlan, channel: &Channel, watchers: [&Channel; 2]) -> i32 {
    let made = join(plan, channel, watchers).and_then(|()| {
        process::close_from_except(3, channel).map_err(Failure::of(Act::Begin, 0))?;
        plan.finish.confine()?;
        make_program(&plan.finish, channel)
    });
    match made {
        Ok(()) => 0,
        Err(failure) => {
            report(channel, failure);
            ABANDONED
        }
    }
}

fn join(plan: &JoinPlan, channel: &Channel, watchers: [&Channel; 2]) -> Result<(), Failure> {
    for end in watchers {
        // Our copies would keep the caller and us from noticing that the watcher is gone.
        process::close_copy(end).map_err(Failure::of(Act::Begin, 0))?;
    }
    become_unseen().map_err(Failure::of(Act::Begin, 0))?;
    pass("exec.enter")?;
    for (index, tasks) in plan.tasks.iter().enumerate() {
        // 0 is whoever writes; the file `tasks` moves one thread without the lock over all of them.
        rustix::io::write(tasks, b"0").map_err(Failure::of(Act::EnterCgroup, index))?;
    }
    namespace::enter_raw(&plan.container, plan.kinds)
        .map_err(Failure::of(Act::EnterNamespace, 0))?;
    let root = open_directory(c"/").map_err(Failure::of(Act::Begin, 0))?;
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
    plan.finish.prepare(&plan.proc, &cwd)?;
    let stdio = match (&terminal, &plan.files) {
        (Some(terminal), _) => terminal.use_it(),
        (None, Some(files)) => use_files(files, uid),
        (None, None) => Err(Errno::BADF),
    };
    stdio.map_err(Failure::of(Act::Stdio, 0))?;
    let theirs = terminal.as_ref().map(|terminal| terminal.theirs.as_fd());
    Message::Ready
        .send(channel, theirs)
        .map_err(Failure::of(Act::Begin, 0))
}
