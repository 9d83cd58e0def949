//! Starting ourselves under another name: `consort [monitor]`, `consort [exec]`, `consort [holder]`.
//!
//! A process that joins a container can be looked at by the container, and through `/proc/PID/exe` so
//! can the file it was started from. So we are never started from the installed file, but from a
//! detached read-only copy of its mount, or from a sealed copy in memory where the kernel refuses
//! the former: neither can be written through, by anyone (CVE-2019-5736).

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::clone::{Cloned, spawn_program};
use super::error::KernelError;
use super::failpoint;
use super::mount::{self, Depth, Restrictions};
use super::pidfd::Pidfd;
use super::process::{self, CStringArray};

/// Our own program, in a form that whoever gets hold of it cannot write to.
#[derive(Debug)]
pub struct OwnProgram {
    fd: OwnedFd,
}

/// The name by which a process reaches its own program.
const OWN_PROGRAM: &CStr = c"/proc/self/exe";

impl OwnProgram {
    /// Opens our own program.
    pub fn open() -> Result<Self, KernelError> {
        Self::at(OWN_PROGRAM)
    }

    /// Opens our own program where it is installed, for a process that is not one of ours.
    pub fn at(path: &CStr) -> Result<Self, KernelError> {
        let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(KernelError::call("open our own program"))?;
        if is_already_safe(&opened) {
            return Ok(Self { fd: opened });
        }
        match read_only_mount(path) {
            Ok(fd) => Ok(Self { fd }),
            // Without the right to mount: an ordinary user outside of a user namespace.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::INVAL) => Ok(Self {
                fd: sealed_copy(File::from(opened))?,
            }),
            Err(errno) => Err(KernelError::call("copy the mount of our own program")(
                errno,
            )),
        }
    }
}

/// We were ourselves started from such a form.
fn is_already_safe(program: &OwnedFd) -> bool {
    let sealed = rustix::fs::fcntl_get_seals(program)
        .is_ok_and(|seals| seals.contains(SealFlags::WRITE | SealFlags::SEAL));
    let read_only = rustix::fs::fstatvfs(program)
        .is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    sealed || read_only
}

fn read_only_mount(path: &CStr) -> Result<OwnedFd, Errno> {
    let copy = mount::clone_path(path, Depth::One)?;
    mount::restrict(
        &copy,
        Restrictions::MOUNT_ATTR_RDONLY,
        Restrictions::empty(),
        Depth::One,
    )?;
    Ok(copy)
}

fn sealed_copy(mut program: File) -> Result<OwnedFd, KernelError> {
    let act = "copy our own program into memory";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create(c"consort", flags).map_err(KernelError::call(act))?;
    let mut memory = File::from(memory);
    io::copy(&mut program, &mut memory).map_err(|source| KernelError::Call { act, source })?;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, all).map_err(KernelError::call(act))?;
    // Opened anew for reading: a descriptor open for writing would make `execve` fail with ETXTBSY.
    let link = format!("/proc/self/fd/{}", memory.as_raw_fd());
    rustix::fs::open(link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(KernelError::call(act))
}

/// Whether the new process stays in our terminal session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// It hears our terminal's signals.
    Same,
    /// It has a session of its own and no terminal.
    New,
}

/// How to start ourselves.
#[derive(Debug)]
pub struct Start {
    /// The first argument, such as `consort [monitor]`, and those after it.
    pub args: Vec<CString>,
    /// The whole environment; an armed failpoint is added to it.
    pub env: Vec<CString>,
    /// Descriptors 0, 1 and 2.
    pub stdio: [OwnedFd; 3],
    /// Descriptors 3, 4, … in this order.
    pub fds: Vec<OwnedFd>,
    /// Our session or a new one.
    pub session: Session,
}

/// A process of ours.
#[derive(Debug)]
pub struct Started {
    /// The handle on it; it is our child.
    pub process: Pidfd,
}

/// Starts `program` as described; returns once it runs, or says why it does not.
pub fn start(program: &OwnProgram, start: Start) -> Result<Started, KernelError> {
    let act = "start ourselves";
    let Start {
        args,
        mut env,
        stdio,
        fds,
        session,
    } = start;
    if let Some(text) = failpoint::armed_text() {
        let entry = format!("{}={text}", failpoint::VARIABLE);
        env.extend(CString::new(entry));
    }
    let fds: Vec<OwnedFd> = stdio.into_iter().chain(fds).collect();
    let first_free = i32::try_from(fds.len()).unwrap_or(i32::MAX);
    // Above all targets, so that no target overwrites a source that is still needed.
    let high = fds
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, first_free))
        .collect::<Result<Vec<_>, _>>()
        .map_err(KernelError::call(act))?;
    let program =
        rustix::io::fcntl_dupfd_cloexec(&program.fd, first_free).map_err(KernelError::call(act))?;
    let (failed, low) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(KernelError::call(act))?;
    let report =
        rustix::io::fcntl_dupfd_cloexec(&low, first_free).map_err(KernelError::call(act))?;
    drop(low);
    let args = CStringArray::new(args);
    let env = CStringArray::new(env);
    let mut child = || {
        let errno = become_ourselves(&program, &high, session, &args, &env);
        // If even that fails, the parent reads an empty report and says so.
        rustix::io::write(&report, &errno.raw_os_error().to_ne_bytes()).ok();
        127
    };
    let Cloned { pid, pidfd } = spawn_program(&mut child).map_err(KernelError::call(act))?;
    drop(report);
    let process = Pidfd::from_parts(pidfd, pid.as_raw_nonzero().get());
    match read_report(&failed) {
        None => Ok(Started { process }),
        Some(errno) => {
            process.wait_until_ended(None)?;
            process.exit(0)?;
            Err(KernelError::call(act)(errno))
        }
    }
}

/// Takes over the descriptors 3, 4, … that a process of ours was started with, in their order.
///
/// Only the first call in a process gets them; they will not pass through another `execve`.
pub fn take_passed() -> Option<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) || process::close_on_exec_from(3).is_err() {
        return None;
    }
    let open = (3..).take_while(|number| {
        // SAFETY: only asks whether the number is open; one that is not is answered with EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_getfd(borrowed).is_ok()
    });
    let take = |number| {
        // SAFETY: it is open and was passed to us by `start`: this runs once per process, before
        // anything of ours opens a descriptor.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    Some(open.map(take).collect())
}

/// Runs in the child; returns only if it failed.
fn become_ourselves(
    program: &OwnedFd,
    fds: &[OwnedFd],
    session: Session,
    args: &CStringArray,
    env: &CStringArray,
) -> Errno {
    let prepare = || {
        if session == Session::New {
            rustix::process::setsid()?;
        }
        process::reset_signals()?;
        for (target, fd) in (0..).zip(fds) {
            process::duplicate_to(fd, target)?;
        }
        let first_free = u32::try_from(fds.len()).map_err(|_| Errno::MFILE)?;
        if let Some(limit) = process::handed_on_descriptors() {
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
        }
        process::close_on_exec_from(first_free)
    };
    match prepare() {
        Ok(()) => process::execve_fd(program, args, env),
        Err(errno) => errno,
    }
}

/// Returns the error number that the child sent, or nothing if it became the program.
fn read_report(pipe: &OwnedFd) -> Option<Errno> {
    let mut bytes = [0_u8; 4];
    loop {
        match rustix::io::read(pipe, &mut bytes) {
            Err(Errno::INTR) => {}
            Ok(4) => return Some(Errno::from_raw_os_error(i32::from_ne_bytes(bytes))),
            Ok(_) | Err(_) => return None,
        }
    }
}
