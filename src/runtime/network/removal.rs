//! A network's bridge and filter entries taken away, by a process that waits for the kernel in our stead.
//!
//! ```text
//! command                            consort [sweep] LINK
//! ───────                            ─────────────────────
//! start, read one byte ◄──────────── filter entries gone, link out of sight
//! goes on                            the kernel waits for its readers: 25 to 60 ms
//!                                    ends
//! ```
//!
//! A link is gone for everybody, its name, its addresses and its routes, long before the kernel
//! answers the request; what follows is the kernel's own. It cannot be interrupted, so that nothing
//! is lost when this process is killed.

use std::ffi::{CStr, CString, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::runtime::kernel::netlink::LinkRemovals;
use crate::runtime::kernel::reexec::{self, OwnProgram, Session, Start};

use super::NetworkError;
use super::bridge;
use super::nat;

/// The name that the process is started under.
pub const ARG0: &CStr = c"consort [sweep]";

/// Takes a bridge away, and its entries in the packet filter; returns when nobody sees them any more.
pub fn remove(program: &OwnProgram, link: &str) -> Result<(), NetworkError> {
    match remove_beside(program, link) {
        Ok(true) => Ok(()),
        // It could not: what is in the way is known best here.
        Ok(false) | Err(_) => remove_here(link),
    }
}

/// Takes a bridge away, and its entries in the packet filter, and waits for all that the kernel does.
pub fn remove_here(link: &str) -> Result<(), NetworkError> {
    let settling = nat::remove(link)?;
    bridge::remove(link)?;
    drop(settling);
    Ok(())
}

fn remove_beside(program: &OwnProgram, link: &str) -> io::Result<bool> {
    let (gone, teller) = pipe_with(PipeFlags::CLOEXEC)?;
    let null = || open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let sweep = Start {
        args: vec![ARG0.to_owned(), CString::new(link)?],
        env: Vec::new(),
        stdio: [null()?, teller, null()?],
        fds: Vec::new(),
        session: Session::New,
        cgroup: None,
    };
    reexec::start(program, sweep).map_err(io::Error::other)?;
    let mut told = [0];
    Ok(std::fs::File::from(gone).read(&mut told)? == 1)
}

/// Runs the process: `consort [sweep] LINK`, with the pipe to the command as standard output.
pub fn main(args: &[OsString]) -> ExitCode {
    let [link] = args else {
        return ExitCode::from(2);
    };
    let link = String::from_utf8_lossy(link.as_bytes());
    match sweep(&link) {
        Ok(()) => ExitCode::SUCCESS,
        // The command does it again, and says why it cannot.
        Err(_) => ExitCode::FAILURE,
    }
}

fn sweep(link: &str) -> Result<(), NetworkError> {
    let settling = nat::remove(link)?;
    if let Some(index) = bridge::index(link)? {
        let removals =
            LinkRemovals::listen().map_err(|source| NetworkError::ReadRoutes { source })?;
        // Not waited for: if the link stays, nothing comes, and this process ends all the same.
        let _listener = std::thread::spawn(move || {
            if removals.wait_for(index).is_ok() {
                tell();
            }
        });
        bridge::remove(link)?;
    }
    tell();
    drop(settling);
    Ok(())
}

fn tell() {
    // Nobody to tell is nobody who waits.
    let mut out = io::stdout();
    drop(out.write_all(b"1").and_then(|()| out.flush()));
}
