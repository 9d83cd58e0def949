//! Small acts of a process on itself: leaving at once, hiding, closing, naming, becoming a program.
//!
//! **Invariant:** nothing here allocates or locks, except where a function says so; the child between
//! `clone` and `execve` uses these.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::OnceLock;

use nix::libc;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Leaves at once: no destructors, no buffers, no handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes a number, touches no memory of ours and does not return.
    unsafe { libc::_exit(code) }
}

/// Whether others of the same user may look into this process (ptrace, `/proc/PID/mem`, core dumps).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dumpable {
    /// As an ordinary process.
    Yes,
    /// Only a process with `CAP_SYS_PTRACE` over us may.
    No,
}

/// Opens or closes this process for its equals; `execve` opens it again.
pub fn set_dumpable(dumpable: Dumpable) -> Result<(), Errno> {
    let value = match dumpable {
        Dumpable::Yes => 1,
        Dumpable::No => 0,
    };
    prctl(libc::PR_SET_DUMPABLE, value)
}

/// Asks for `SIGKILL` when the thread that made this process ends.
pub fn die_with_parent() -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

/// How many descriptors what we start may have, once we may have more ourselves.
static HANDED_ON: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process have as many descriptors as it may; what it starts gets no more than before.
///
/// It is for its caller to begin programs with [`handed_on_descriptors`]; [`reexec`](super::reexec)
/// does. Allocates nothing, and may be called once.
pub fn raise_descriptor_limit() -> Result<(), Errno> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    // A second call finds the limit raised already, and the first one's memory is the true one.
    HANDED_ON.set(before).ok();
    Ok(())
}

/// Returns how many descriptors what we start may have, where that is not what we may have ourselves.
pub fn handed_on_descriptors() -> Option<Rlimit> {
    HANDED_ON.get().copied()
}

/// Returns how many descriptors this process may have.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Sets the name that `ps -o comm` shows, at most 15 bytes.
pub fn set_name(name: &CStr) -> Result<(), Errno> {
    rustix::thread::set_name(name)
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> Result<(), Errno> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used in this file take one number and touch no memory of ours.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, value, zero, zero, zero) })?;
    Ok(())
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes this process's copy of a descriptor that its parent goes on using.
///
/// Only for the child of a clone, which never drops what it was given.
pub fn close_copy(fd: &impl AsFd) -> Result<(), Errno> {
    let number = u32::try_from(fd.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    close_range(number, number, 0)
}

/// Makes `number` mean the same open file as `fd`, kept open through `execve`.
///
/// Only for the child of a clone: whoever owned that number before does not any more.
pub fn duplicate_to(fd: &impl AsFd, number: i32) -> Result<(), Errno> {
    // SAFETY: dup3(2) takes three numbers; what `number` meant before belonged to the parent's copy of
    // this table, and nothing in the child uses it again.
    check(unsafe { libc::syscall(libc::SYS_dup3, fd.as_fd().as_raw_fd(), number, 0) })?;
    Ok(())
}

/// Closes every descriptor from `first` on.
///
/// Only for a process that owns nothing which would close itself later, as the child of a clone.
pub fn close_from(first: u32) -> Result<(), Errno> {
    close_range(first, u32::MAX, 0)
}

/// Closes every descriptor from `first` on but this one.
///
/// Only for the child of a clone, as [`close_from`].
pub fn close_from_except(first: u32, kept: &impl AsFd) -> Result<(), Errno> {
    let kept = u32::try_from(kept.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    if kept > first {
        close_range(first, kept - 1, 0)?;
    }
    close_range(first.max(kept + 1), u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: close_range(2) takes three numbers; who still owns a closed descriptor gets EBADF, and
    // no descriptor is made between here and `execve` or the end of the process.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })?;
    Ok(())
}

/// Gives every signal its default action and blocks none, as a new program expects it.
pub fn reset_signals() -> Result<(), Errno> {
    let action = KernelSigaction {
        handler: libc::SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    for signal in 1..=64 {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        let no_old: *mut KernelSigaction = std::ptr::null_mut();
        // SAFETY: the action lives through the call, has the kernel's layout and its size is passed.
        check(unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const action,
                no_old,
                SIGSET_BYTES,
            )
        })?;
    }
    swap_signal_mask(0).map(drop)
}

/// Blocks every signal that can be blocked.
pub fn block_all_signals() -> Result<(), Errno> {
    swap_signal_mask(u64::MAX).map(drop)
}

/// Blocks these signals, bit by bit, and no others; returns which were blocked before.
pub(super) fn swap_signal_mask(mask: u64) -> Result<u64, Errno> {
    let mut old = 0_u64;
    // SAFETY: both masks live through the call, have the kernel's layout and their size is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut old,
            SIGSET_BYTES,
        )
    })?;
    Ok(old)
}

/// Waits for any signal, which must be blocked, and returns its number.
pub fn wait_for_signal() -> Result<i32, Errno> {
    let all = u64::MAX;
    let null: *const libc::c_void = std::ptr::null();
    // SAFETY: the set lives through the call, its size is passed, no info and no timeout are asked for.
    let signal = check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const all,
            null,
            null,
            SIGSET_BYTES,
        )
    })?;
    i32::try_from(signal).map_err(|_| Errno::INVAL)
}

/// Sends any signal, also a real-time one, to a child of ours.
pub fn send_signal(child: rustix::process::Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill(2) takes two numbers and touches no memory of ours.
    check(unsafe { libc::syscall(libc::SYS_kill, child.as_raw_nonzero().get(), signal) })?;
    Ok(())
}

const SIGSET_BYTES: usize = 8;

/// The kernel's own layout of a signal action (`x86_64` and `aarch64`), which is not libc's.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// A program's arguments or environment as `execve` takes them: pointers and a null at the end.
#[derive(Debug)]
pub struct CStringArray {
    // The strings own the memory that the pointers point into; neither changes after `new`.
    strings: Vec<std::ffi::CString>,
    pointers: Vec<*const libc::c_char>,
}

impl CStringArray {
    /// Prepares `strings` for `execve`. Allocates.
    pub fn new(strings: Vec<std::ffi::CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect::<Vec<_>>();
        Self { strings, pointers }
    }

    /// Returns the strings.
    pub fn strings(&self) -> &[std::ffi::CString] {
        &self.strings
    }
}

/// Becomes the program at `path`; returns only the reason why not.
pub fn execve(path: &CStr, args: &CStringArray, env: &CStringArray) -> Errno {
    // SAFETY: the path and both arrays are NUL-terminated and null-terminated by construction and
    // live through the call; the call replaces this process or changes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execve,
            path.as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
        )
    };
    check(result).err().unwrap_or(Errno::INVAL)
}

/// Becomes the program that the descriptor holds; returns only the reason why not.
pub fn execve_fd(program: impl AsFd, args: &CStringArray, env: &CStringArray) -> Errno {
    let empty = c"";
    // SAFETY: as for `execve`; the descriptor is open because it is borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            empty.as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(result).err().unwrap_or(Errno::INVAL)
}

/// Turns what `libc::syscall` returned into a result.
pub(in crate::runtime::kernel) fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 {
        return Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw()));
    }
    Ok(result)
}
