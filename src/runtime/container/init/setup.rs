//! The child's own steps, top to bottom. Nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::filesystem::{self, Keep, Masks};
use super::joined::Joined;
use super::plan::{InitPlan, StdioPlan};
use super::report::{Act, Failure, MESSAGE_BYTES, Message};
use super::sysctl::Sysctl;
use super::{program, reaper, terminal};
use crate::runtime::container::bundle::{JoinedNamespace, Lifetime};
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
        Ok(()) => match (wait_for_start(channel), &plan.pid) {
            (Started::No, _) => return ABANDONED,
            (Started::Yes, None) => launch(plan, channel),
            (Started::Yes, Some(pid)) => match launch_among_others(plan, pid, channel) {
                Ok(()) => return 0,
                Err(failure) => failure,
            },
        },
        Err(failure) => failure,
    };
    report(channel, failure);
    ABANDONED
}

/// What a process leaves with that never became the program; nobody shows it to a user.
pub(in crate::runtime::container) const ABANDONED: i32 = 125;

/// Tells the parent; if it is gone there is nobody left to tell.
pub(in crate::runtime::container) fn report(channel: &Channel, failure: Failure) {
    Message::Failed(failure).send(channel, None).ok();
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
    match confine(plan) {
        Err(failure) => failure,
        Ok(()) => run_program(plan, channel),
    }
}

fn confine(plan: &InitPlan) -> Result<(), Failure> {
    pass("container.confine")?;
    plan.finish.confine()
}

/// Becomes the program, or what looks after it; returns only why not.
fn run_program(plan: &InitPlan, channel: &Channel) -> Failure {
    // After the program's user was taken on, which would end it again.
    if plan.lifetime == Lifetime::Maker
        && let Err(errno) = process::die_with_parent()
    {
        return Failure {
            act: Act::Begin,
            index: 0,
            errno,
        };
    }
    if plan.reaper {
        return reaper::run(plan, channel);
    }
    plan.finish.execute()
}

/// Makes the program's process in another container's pid namespace, whose processes will see it: so
/// first of all everything of the host is given up.
fn launch_among_others(
    plan: &InitPlan,
    pid: &JoinedNamespace,
    channel: &Channel,
) -> Result<(), Failure> {
    namespace::enter_raw(&pid.namespace, Namespaces::NEWPID)
        .map_err(Failure::of(Act::EnterNamespace, plan.join.len()))?;
    process::close_from_except(3, channel).map_err(Failure::of(Act::Begin, 0))?;
    confine(plan)?;
    if plan.reaper {
        return program::make_with(channel, &mut || reaper::run(plan, channel));
    }
    program::make(&plan.finish, channel)
}

/// Passes a failpoint.
pub(in crate::runtime::container) fn pass(name: &'static str) -> Result<(), Failure> {
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
                .and_then(|dir| terminal::make(dir.as_fd(), *size, plan.finish.uid()));
            let made = made.map_err(Failure::of(Act::Terminal, 0))?;
            terminal::show_console(root, console, &made).map_err(Failure::of(Act::Terminal, 1))?;
            Some(made)
        }
    };
    let cwd = plan.finish.make_working_directory(root)?;
    for (index, setting) in plan.sysctls.iter().enumerate() {
        write_sysctl(kept.proc.as_ref(), setting).map_err(Failure::of(Act::Sysctl, index))?;
    }
    hide(plan)?;
    pass("container.pivot")?;
    pivot(plan).map_err(Failure::of(Act::Pivot, 0))?;
    plan.finish.prepare(&plan.own_proc, &cwd)?;
    let stdio = match (&plan.stdio, &terminal) {
        (StdioPlan::Files(files), _) => terminal::use_files(files, plan.finish.uid()),
        (StdioPlan::Terminal { .. }, Some(made)) => made.use_it(),
        (StdioPlan::Terminal { .. }, None) => Err(Errno::NOTTY),
    };
    stdio.map_err(Failure::of(Act::Stdio, 0))?;
    if !plan.reaper && plan.pid.is_none() {
        plan.finish
            .take_session()
            .map_err(Failure::of(Act::Stdio, 1))?;
    }
    let master = terminal.as_ref().map(|terminal| terminal.theirs.as_fd());
    Message::Ready
        .send(channel, master)
        .map_err(Failure::of(Act::Begin, 1))
}

fn begin(parent_end: &Channel) -> Result<(), Errno> {
    // Our copy of the parent's end would keep us from noticing that the parent is gone.
    process::close_copy(parent_end)?;
    become_unseen()
}

/// Nobody may look into us, and nothing of our parent's ways with signals and files stays.
pub(in crate::runtime::container) fn become_unseen() -> Result<(), Errno> {
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
    let mut joined = Joined::copy(plan)?;
    attach_root(plan).map_err(Failure::of(Act::AttachRoot, 0))?;
    let root = plan.rootfs.as_fd();
    for (index, step) in plan.mounts.iter().enumerate() {
        let given = match step.keep {
            Keep::Proc => joined.proc.take(),
            Keep::SharedMemory => joined.shared_memory.take(),
            Keep::Nothing | Keep::Terminals => None,
        };
        let mounted = step
            .perform(root, given)
            .map_err(Failure::of(Act::Mount, index))?;
        match step.keep {
            Keep::Nothing | Keep::SharedMemory => {}
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

/// A name that outlives the plan, for `ps`.
pub(super) const INIT_NAME: &CStr = c"consort-init";
