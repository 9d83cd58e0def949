//! One new process, with new namespaces and in the right cgroup from its first instruction on.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::libc;
use rustix::io::Errno;
use rustix::process::Pid;

use super::namespace::Namespaces;
use super::process::{check, exit_now, swap_signal_mask};

/// How the new process differs from this one.
#[derive(Debug)]
pub struct CloneOptions<'a> {
    /// Namespaces to make anew.
    pub namespaces: Namespaces,
    /// The cgroup v2 directory in which the process begins.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A process made by [`spawn`].
#[derive(Debug)]
pub struct Cloned {
    /// Its number in our pid namespace.
    pub pid: Pid,
    /// A handle that never means another process.
    pub pidfd: OwnedFd,
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a process with a copy of our memory that runs `child` and leaves with what it returns.
///
/// **Invariant:** `child` allocates nothing and takes no lock: another thread of ours may have held
/// the allocator's lock at this moment, and in the copy nobody is left to release it.
pub fn spawn(options: &CloneOptions<'_>, child: &mut dyn FnMut() -> i32) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: u64::from(options.namespaces.bits()) | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: SIGCHLD,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = options.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::BADF)?;
    }
    // SAFETY: no CLONE_VM: the child has its own copy of all memory and goes on here on its own copy
    // of this stack, as after fork(2). `args` and `pidfd` live through the call.
    let result =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })?;
    if result == 0 {
        exit_now(child());
    }
    let pid = i32::try_from(result)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::INVAL)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid, pidfd })
}

/// Makes a process that runs `child` in our own memory, while this thread waits, until it becomes another
/// program or leaves. Nothing is copied, which for a process as large as ours costs more than all the rest.
///
/// **Invariant:** as with [`spawn`], `child` allocates nothing and takes no lock. What it writes, we see. It
/// begins with all signals blocked, so that no handler of ours runs in it.
pub fn spawn_program(mut child: &mut dyn FnMut() -> i32) -> Result<Cloned, Errno> {
    extern "C" fn run(child: *mut libc::c_void) -> libc::c_int {
        // SAFETY: it is the pointer that is passed below, to a variable that outlives the process: its owner
        // waits, and nobody else uses it.
        let child = unsafe { &mut *child.cast::<&mut dyn FnMut() -> i32>() };
        exit_now(child())
    }

    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let blocked_before = swap_signal_mask(u64::MAX)?;
    // SAFETY: the stack is aligned, used by the new process alone, and lives until that has left our memory:
    // CLONE_VFORK makes this thread wait for it. `run` never returns.
    let result = check(libc::c_long::from(unsafe {
        libc::clone(
            run,
            stack.as_mut_ptr_range().end.cast(),
            flags,
            (&raw mut child).cast(),
            &raw mut pidfd,
        )
    }));
    let unblocked = swap_signal_mask(blocked_before).map(drop);
    unblocked?;
    let pid = i32::try_from(result?)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::INVAL)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid, pidfd })
}

/// What a process has as a stack that only becomes another program.
const STACK_BYTES: usize = 64 << 10;

/// Whose child a new process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The process that makes it.
    Maker,
    /// The parent of the process that makes it.
    MakersParent,
}

/// Makes a process as fork(2) does, with the one call that every usual system call filter allows.
///
/// The same holds for `child` as with [`spawn`].
pub fn fork(parent: Parent, child: &mut dyn FnMut() -> i32) -> Result<Pid, Errno> {
    let flags = match parent {
        Parent::Maker => SIGCHLD,
        Parent::MakersParent => SIGCHLD | CLONE_PARENT,
    };
    // SAFETY: no CLONE_VM and no stack: the child goes on here on its own copy of everything.
    let result = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    if result == 0 {
        exit_now(child());
    }
    i32::try_from(result)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::INVAL)
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;

#[cfg(test)]
mod tests {
    use super::super::pidfd::{Exit, Pidfd};
    use super::*;

    #[test]
    fn a_child_that_becomes_a_program_borrows_our_memory_and_hears_no_signal() {
        let mut blocked = 0;
        let mut child = || {
            blocked = swap_signal_mask(0).unwrap_or_default();
            7
        };
        let Cloned { pid, pidfd } = spawn_program(&mut child).unwrap();
        let process = Pidfd::from_parts(pidfd, pid.as_raw_nonzero().get());
        process.wait_until_ended(None).unwrap();
        assert_eq!(process.exit(0).unwrap(), Some(Exit::Code(7)));
        // All but SIGKILL and SIGSTOP, which nobody can block.
        assert_eq!(blocked, !(1 << 8) & !(1 << 18));
        let ours = swap_signal_mask(0).unwrap();
        assert_eq!(ours & 1, 0, "SIGHUP stayed blocked");
    }
}
