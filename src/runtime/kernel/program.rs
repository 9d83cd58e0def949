//! Another program, run to its end: what it said and how it ended, within bounds.
//!
//! **Invariant:** it does not outlive us, sees no variable and no descriptor but those it is given,
//! and neither its output nor its silence is without end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::process::die_with_parent;

/// How much of each output is taken.
const OUTPUT_LIMIT_BYTES: usize = 1 << 20;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name, looked up in the `PATH` of `environment`.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [&'a OsStr],
    /// All of its variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Its working directory.
    pub directory: &'a Path,
    /// How long it may neither say anything nor end.
    pub silence_limit_s: u16,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error.
    pub errors: Vec<u8>,
}

impl Program<'_> {
    /// Runs it to its end, without input.
    pub fn run(&self) -> io::Result<Ended> {
        let mut child = self.spawn()?;
        let mut outputs = [Vec::new(), Vec::new()];
        let heard = listen(&mut child, &mut outputs, self.silence_limit_s);
        if heard.is_err() {
            // It may have ended meanwhile.
            drop(child.kill());
        }
        let status: ExitStatus = child.wait()?;
        heard?;
        let [output, errors] = outputs;
        Ok(Ended {
            code: status.code(),
            output,
            errors,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where others are told to spawn"
    )]
    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(self.name);
        command
            .args(self.args)
            .env_clear()
            .envs(self.environment)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: between fork and exec only prctl(2) is called, which allocates and locks nothing.
        unsafe {
            command.pre_exec(|| Ok(die_with_parent()?));
        }
        command.spawn()
    }
}

/// Reads both outputs until they are closed.
fn listen(child: &mut Child, outputs: &mut [Vec<u8>; 2], silence_limit_s: u16) -> io::Result<()> {
    let mut out = child.stdout.take();
    let mut err = child.stderr.take();
    let silence = Timespec {
        tv_sec: i64::from(silence_limit_s),
        tv_nsec: 0,
    };
    while out.is_some() || err.is_some() {
        let [out_ready, err_ready] = wait(out.as_ref(), err.as_ref(), &silence)?;
        if out_ready
            && let Some(pipe) = &mut out
            && take(pipe, &mut outputs[0])? == 0
        {
            out = None;
        }
        if err_ready
            && let Some(pipe) = &mut err
            && take(pipe, &mut outputs[1])? == 0
        {
            err = None;
        }
    }
    Ok(())
}

/// Waits until one of two pipes has something to read or is closed.
fn wait(
    out: Option<&std::process::ChildStdout>,
    err: Option<&std::process::ChildStderr>,
    silence: &Timespec,
) -> io::Result<[bool; 2]> {
    let fds = [out.map(|fd| fd.as_fd()), err.map(|fd| fd.as_fd())];
    let open = fds.iter().flatten();
    let mut polled: Vec<PollFd<'_>> = open
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let ready = loop {
        match poll(&mut polled, Some(silence)) {
            // The time begins anew: a longer wait, never a wrong one.
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if ready == 0 {
        let text = "it said nothing for too long";
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    let mut states = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && states.next().unwrap_or(false)))
}

fn take(pipe: &mut impl io::Read, said: &mut Vec<u8>) -> io::Result<usize> {
    let mut portion = [0; 8192];
    let count = pipe.read(&mut portion)?;
    if said.len() + count > OUTPUT_LIMIT_BYTES {
        return Err(io::Error::other("it says more than 1 MiB"));
    }
    said.extend_from_slice(&portion[..count]);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, silence_limit_s: u16) -> io::Result<Ended> {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Program {
            name: "sh",
            args: &[OsStr::new("-c"), OsStr::new(line)],
            environment: &environment,
            directory: Path::new("/"),
            silence_limit_s,
        }
        .run()
    }

    #[test]
    fn what_a_program_says_on_both_outputs_is_kept_apart() {
        let ended = shell("echo out; echo err >&2; exit 3", 60).unwrap();
        assert_eq!(ended.code, Some(3));
        assert_eq!(
            (&*ended.output, &*ended.errors),
            (&b"out\n"[..], &b"err\n"[..])
        );
    }

    #[test]
    fn a_program_gets_only_the_variables_it_is_given() {
        let ended = shell("exec env -u PWD", 60).unwrap();
        assert_eq!(ended.output, b"PATH=/usr/bin:/bin\n");
    }

    #[test]
    fn a_program_that_talks_or_sleeps_without_end_is_ended() {
        assert_eq!(
            shell("exec sleep 1000", 1).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert!(shell("exec yes", 60).is_err());
    }
}
