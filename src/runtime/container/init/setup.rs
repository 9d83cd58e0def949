//! The child's own steps, top to bottom. Nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::filesystem::{self, Keep, Masks};
use super::plan::{InitPlan, StdioPlan};
use super::report::{Act, Failure, MESSAGE_BYTES, Message};
use super::{reaper, sysctl::Sysctl};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::failpoint;
use crate::runtime::kernel::mount::{self, Depth, Propagation, Restrictions};
use crate::runtime::kernel::namespace::{self, Namespaces};
use crate::runtime::kernel::process::{self, Dumpable};

/// Runs in the child: sets the container up, waits, and becomes the program.
///
/// Returns only what the process leaves with if that did not work.
pub(in crate::runtime::container) fn run(
    plan: &InitPlan,
    channel: &Channel,
    parent_end: &Channel,
) -> i32 {
    let failure = match prepare(plan, channel, parent_end) {
        Ok(()) => match wait_for_start(channel) {
            Started::Yes => launch(plan, channel),
            Started::No => return ABANDONED,
        },
        Err(failure) => failure,
    };
    report(channel, failure);
    ABANDONED
}

/// What a process leaves with that never became the program; nobody shows it to a user.
const ABANDONED: i32 = 125;

/// Tells the parent; if it is gone there is nobody left to tell.
pub(super) fn report(channel: &Channel, failure: Failure) {
    drop(Message::Failed(failure).send(channel, None));
}

enum Started {
    Yes,
    No,
}

fn wait_for_start(channel: &Channel) -> Started {
    let mut buffer = [0; MESSAGE_BYTES];
    match channel.receive(&mut buffer) {
        Ok(received) if Message::from_bytes(&buffer[..received.length]) == Some(Message::Start) => {
            Started::Yes
        }
        // The monitor ended, or changed its mind: nothing of ours shall stay.
        Ok(_) | Err(_) => Started::No,
    }
}

fn launch(plan: &InitPlan, channel: &Channel) -> Failure {
    if let Err(failure) = pass("container.confine").and_then(|()| plan.finish.confine()) {
        return failure;
    }
    if plan.reaper {
        reaper::run(plan, channel)
    } else {
        plan.finish.execute()
    }
}

fn pass(name: &'static str) -> Result<(), Failure> {
    failpoint::hit(name).map_err(|error| {
        let errno = error
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error);
        Failure {
            act: Act::Failpoint,
            index: 0,
            errno,
        }
    })
}

fn prepare(plan: &InitPlan, channel: &Channel, parent_end: &Channel) -> Result<(), Failure> {
    begin(parent_end).map_err(Failure::of(Act::Begin, 0))?;
    enter(plan)?;
    pass("container.mounts")?;
    let mut kept = Kept::default();
    mount_all(plan, &mut kept)?;
    let root = plan.rootfs.as_fd();
    let terminal = match &plan.stdio {
        StdioPlan::Files(_) => None,
        StdioPlan::Terminal { size, console } => {
            let terminals = kept.terminals.as_ref();
            let made = terminals
                .ok_or(Errno::NODEV)
                .and_then(|dir| make_terminal(plan, dir, *size));
            let terminal = made.map_err(Failure::of(Act::Terminal, 0))?;
            show_console(root, console, &terminal.ours).map_err(Failure::of(Act::Terminal, 1))?;
            Some(terminal)
        }
    };
    let cwd = plan.finish.make_working_directory(root)?;
    for (index, setting) in plan.sysctls.iter().enumerate() {
        write_sysctl(kept.proc.as_ref(), setting).map_err(Failure::of(Act::Sysctl, index))?;
    }
    hide(plan)?;
    pass("container.pivot")?;
    pivot(plan).map_err(Failure::of(Act::Pivot, 0))?;
    plan.finish.prepare(kept.proc.as_ref(), &cwd)?;
    stdio(plan, terminal.as_ref()).map_err(Failure::of(Act::Stdio, 0))?;
    if !plan.reaper {
        take_session(plan).map_err(Failure::of(Act::Stdio, 1))?;
    }
    let master = terminal.as_ref().map(|terminal| terminal.theirs.as_fd());
    Message::Ready
        .send(channel, master)
        .map_err(Failure::of(Act::Begin, 1))
}

fn begin(parent_end: &Channel) -> Result<(), Errno> {
    // Our copy of the parent's end would keep us from noticing that the parent is gone.
    process::close_copy(parent_end)?;
    process::set_dumpable(Dumpable::No)?;
    process::reset_signals()?;
    process::close_on_exec_from(3)?;
    // What is made here gets exactly the mode that is asked for.
    rustix::process::umask(Mode::empty());
    Ok(())
}

fn enter(plan: &InitPlan) -> Result<(), Failure> {
    for (index, tasks) in plan.tasks.iter().enumerate() {
        // 0 is whoever writes; the file `tasks` moves one thread without the lock over all of them.
        rustix::io::write(tasks, b"0").map_err(Failure::of(Act::EnterCgroup, index))?;
    }
    if plan.own_cgroup_namespace {
        // Only now, so that the container's own cgroup is the root that it sees.
        namespace::unshare_raw(Namespaces::NEWCGROUP)
            .map_err(Failure::of(Act::CgroupNamespace, 0))?;
    }
    for (index, (fd, kind)) in plan.join.iter().enumerate() {
        namespace::enter_raw(fd, *kind).map_err(Failure::of(Act::EnterNamespace, index))?;
    }
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name).map_err(Failure::of(Act::HostName, 0))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name).map_err(Failure::of(Act::HostName, 1))?;
    }
    Ok(())
}

/// Descriptors of mounts that later steps need.
#[derive(Debug, Default)]
struct Kept {
    proc: Option<OwnedFd>,
    terminals: Option<OwnedFd>,
}

fn mount_all(plan: &InitPlan, kept: &mut Kept) -> Result<(), Failure> {
    mount::set_propagation_of_all(Propagation::Private)
        .map_err(Failure::of(Act::Propagation, 0))?;
    attach_root(plan).map_err(Failure::of(Act::AttachRoot, 0))?;
    let root = plan.rootfs.as_fd();
    for (index, step) in plan.mounts.iter().enumerate() {
        let mounted = step.perform(root).map_err(Failure::of(Act::Mount, index))?;
        match step.keep {
            Keep::Nothing => {}
            Keep::Proc => kept.proc = mounted,
            Keep::Terminals => kept.terminals = mounted,
        }
        if plan.dev_after == Some(index) {
            make_devices(plan, root)?;
        }
    }
    for (index, step) in plan.devices.iter().enumerate() {
        step.perform(root)
            .map_err(Failure::of(Act::Device, plan.usual_devices.len() + index))?;
    }
    for (index, target) in plan.sealed.iter().enumerate() {
        filesystem::seal(root, target).map_err(Failure::of(Act::ReadOnly, index))?;
    }
    Ok(())
}

fn attach_root(plan: &InitPlan) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = rustix::fs::openat(CWD, c"/", flags, Mode::empty())?;
    mount::attach(&plan.rootfs, &old)?;
    mount::set_propagation(&plan.rootfs, plan.root_propagation, Depth::One)
}

fn make_devices(plan: &InitPlan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    for (index, step) in plan.usual_devices.iter().enumerate() {
        step.perform(root)
            .map_err(Failure::of(Act::Device, index))?;
    }
    let dev = plan.dev.find(root).map_err(Failure::of(Act::Links, 0))?;
    filesystem::make_links(&dev).map_err(Failure::of(Act::Links, 0))
}

fn hide(plan: &InitPlan) -> Result<(), Failure> {
    let root = plan.rootfs.as_fd();
    for (index, target) in plan.read_only.iter().enumerate() {
        filesystem::make_read_only(root, target)
            .map_err(Failure::of(Act::ReadOnly, plan.sealed.len() + index))?;
    }
    let mut masks = Masks::default();
    for (index, target) in plan.masked.iter().enumerate() {
        masks
            .hide(root, target, &plan.null)
            .map_err(Failure::of(Act::Mask, index))?;
    }
    Ok(())
}

/// Writes a setting below the container's own procfs, and nowhere else.
fn write_sysctl(proc: Option<&OwnedFd>, setting: &Sysctl) -> Result<(), Errno> {
    let proc = proc.ok_or(Errno::NODEV)?;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(proc, &setting.path, flags, Mode::empty(), resolve)?;
    rustix::io::write(&file, &setting.value)?;
    Ok(())
}

fn pivot(plan: &InitPlan) -> Result<(), Errno> {
    rustix::process::fchdir(&plan.rootfs)?;
    rustix::process::pivot_root(c".", c".")?;
    // The old root now lies on top of the new one, and `.` is still the new one below it.
    mount::detach(c".")?;
    rustix::process::chdir(c"/")?;
    if plan.root_read_only {
        let read_only = Restrictions::MOUNT_ATTR_RDONLY;
        mount::restrict(&plan.rootfs, read_only, Restrictions::empty(), Depth::One)?;
    }
    Ok(())
}

/// Both ends of the container's terminal.
#[derive(Debug)]
struct Terminal {
    /// For the monitor.
    theirs: OwnedFd,
    /// For the program.
    ours: OwnedFd,
}

/// Makes a terminal in the container's own devpts, never by a path (CVE-2025-52565).
fn make_terminal(
    plan: &InitPlan,
    terminals: &OwnedFd,
    (rows, columns): (u16, u16),
) -> Result<Terminal, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::openat(terminals, c"ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&theirs)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::ioctl_tiocgptpeer(&theirs, flags)?;
    let stat = rustix::fs::fstat(&ours)?;
    let is_terminal = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && rustix::fs::major(stat.st_rdev) == TERMINAL_MAJOR
        && rustix::fs::fstatfs(&ours)?.f_type == DEVPTS_MAGIC;
    if !is_terminal {
        return Err(Errno::NOTTY);
    }
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&theirs, size)?;
    give_to_user(plan, ours.as_fd())?;
    Ok(Terminal { theirs, ours })
}

const TERMINAL_MAJOR: u32 = 136;
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Lets the program's user open its own terminal or pipes again by name.
fn give_to_user(plan: &InitPlan, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::fs::fchown(fd, Some(plan.finish.uid()), None) {
        // A file of somebody outside of our user namespace, or one on a read-only filesystem: the
        // program can still use the descriptor itself.
        Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Shows the terminal as /dev/console.
fn show_console(
    root: BorrowedFd<'_>,
    console: &crate::runtime::kernel::rooted::Target,
    terminal: &OwnedFd,
) -> Result<(), Errno> {
    let target = console.ensure(root)?;
    let copy = mount::clone_tree(terminal, c"", Depth::One)?;
    mount::attach(&copy, &target)
}

fn stdio(plan: &InitPlan, terminal: Option<&Terminal>) -> Result<(), Errno> {
    match (&plan.stdio, terminal) {
        (StdioPlan::Terminal { .. }, Some(terminal)) => {
            for number in 0..3 {
                process::duplicate_to(&terminal.ours, number)?;
            }
        }
        (StdioPlan::Files(files), _) => {
            for (number, file) in (0..).zip(files) {
                let stat = rustix::fs::fstat(file)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
                    give_to_user(plan, file.as_fd())?;
                }
                process::duplicate_to(file, number)?;
            }
        }
        (StdioPlan::Terminal { .. }, None) => return Err(Errno::NOTTY),
    }
    Ok(())
}

/// Begins a session, with the terminal if there is one.
pub(super) fn take_session(plan: &InitPlan) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if plan.finish.wants_terminal() {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
    }
    Ok(())
}

/// A name that outlives the plan, for `ps`.
pub(super) const INIT_NAME: &CStr = c"consort-init";
