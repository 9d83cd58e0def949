//! Programs of the system that do what an ordinary user's process may not.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Access, Mode, OFlags, access, open};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::runtime::kernel::clone::{CloneOptions, spawn};
use crate::runtime::kernel::namespace::Namespaces;
use crate::runtime::kernel::pidfd::{Exit, Pidfd};
use crate::runtime::kernel::process::{self, CStringArray};
use crate::runtime::network::NetworkError;

/// Where programs are looked for, whatever the environment says.
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// What is kept of what a program says.
const SAID_BYTES: u64 = 2048;
/// What is shown of it.
const SAID_CHARS: usize = 160;
/// How long the kernel may take to hand over how a child ended.
const REAP_PATIENCE_MS: u64 = 1000;

/// A program that runs beside us, and is killed when the thread that started it ends.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    pub(super) process: Pidfd,
    errors: File,
}

/// Runs a program until it ends; anything but success is an error with what it said.
pub(super) fn run_to_end(name: &'static str, args: &[String]) -> Result<(), NetworkError> {
    let failed = |error: io::Error| unfit(name, error.to_string());
    let null = null().map_err(failed)?;
    let output = null.try_clone().map_err(failed)?;
    start(name, args, [null, output])?.end()
}

/// Starts a program with these as standard input and output.
pub(super) fn start(
    name: &'static str,
    args: &[String],
    [input, output]: [OwnedFd; 2],
) -> Result<Program, NetworkError> {
    let path = find(name).ok_or_else(|| unfit(name, "it is not installed".to_owned()))?;
    let words = std::iter::once(name.to_owned()).chain(args.iter().cloned());
    let words = words.map(CString::new).collect::<Result<Vec<_>, _>>();
    let words = CStringArray::new(words.map_err(|error| unfit(name, error.to_string()))?);
    let environment = CStringArray::new(vec![c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]);
    let pipe = pipe_with(PipeFlags::CLOEXEC);
    let (errors, complaints) = pipe.map_err(|error| unfit(name, error.to_string()))?;
    let mut child = || {
        let prepared = process::die_with_parent()
            .and_then(|()| process::reset_signals())
            .and_then(|()| process::duplicate_to(&input, 0))
            .and_then(|()| process::duplicate_to(&output, 1))
            .and_then(|()| process::duplicate_to(&complaints, 2))
            .and_then(|()| process::close_on_exec_from(3));
        if prepared.is_ok() {
            process::execve(&path, &words, &environment);
        }
        127
    };
    let options = CloneOptions {
        namespaces: Namespaces::empty(),
        cgroup: None,
    };
    let child = spawn(&options, &mut child).map_err(|error| unfit(name, error.to_string()))?;
    let process = Pidfd::from_parts(child.pidfd, child.pid.as_raw_nonzero().get());
    Ok(Program {
        name,
        process,
        errors: File::from(errors),
    })
}

impl Program {
    /// Waits for the end and returns what was wrong, for who knows that something was.
    pub(super) fn complaint(&self) -> NetworkError {
        let silent = || unfit(self.name, "it ended without a word".to_owned());
        self.end().err().unwrap_or_else(silent)
    }

    /// Waits for the end; anything but success is an error with what the program said.
    fn end(&self) -> Result<(), NetworkError> {
        let mut bytes = Vec::new();
        // What cannot be read was not said.
        drop((&self.errors).take(SAID_BYTES).read_to_end(&mut bytes));
        let ended = self
            .process
            .wait_until_ended(None)
            .and_then(|_| self.process.exit(REAP_PATIENCE_MS));
        match ended.map_err(|error| unfit(self.name, error.to_string()))? {
            Some(Exit::Code(0)) => Ok(()),
            other => {
                let said = one_line(&bytes);
                let silent = || format!("it ended with {other:?}");
                Err(unfit(
                    self.name,
                    if said.is_empty() { silent() } else { said },
                ))
            }
        }
    }
}

/// Opens what swallows everything and says nothing.
pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn unfit(program: &'static str, said: String) -> NetworkError {
    NetworkError::Program { program, said }
}

/// Reports whether a program is there.
pub(super) fn is_installed(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<CString> {
    let paths = FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(OsStr::new(name)));
    let found = paths
        .into_iter()
        .find(|path| access(path, Access::EXEC_OK).is_ok())?;
    CString::new(found.as_os_str().as_bytes()).ok()
}

/// Returns the first words of what a program said, without what it says of its own log.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| !line.contains("syslog"));
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || c.is_control()));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SAID_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_quoted() {
        run_to_end("true", &[]).unwrap();
        let words = ["-c", "echo 'no way' >&2; exit 3"].map(str::to_owned);
        let error = run_to_end("sh", &words).unwrap_err();
        assert_eq!(error.to_string(), "run `sh`: no way");
        assert_eq!(
            one_line(b"Failed to send 45 bytes to syslog\nno\n  way"),
            "no way"
        );
        assert_eq!(one_line("x ".repeat(900).as_bytes()).len(), SAID_CHARS);
        let error = run_to_end("no-such-program", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "run `no-such-program`: it is not installed"
        );
    }
}
