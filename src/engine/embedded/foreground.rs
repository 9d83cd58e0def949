//! A container that runs in the foreground of a command: the command's streams are its own from the first byte on.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use futures_util::{FutureExt as _, future};
use rustix::pipe::{PipeFlags, pipe_with};

use super::Embedded;
use super::exec::connect_terminal;
use super::record::ContainerRecord;
use crate::desired::InjectedFile;
use crate::engine::{AttachRequest, EngineError, Foreground};
use crate::runtime::kernel::thread::beside;
use crate::runtime::monitor::control::Screen;
use crate::value::ContainerName;

/// The command's ends of the pipes that a container in the foreground writes to, and the pipe that it reads.
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Embedded {
    /// Starts a container with the streams of `request`; the returned future ends with the container.
    pub(super) async fn run_in_foreground(
        &self,
        name: &ContainerName,
        files: Vec<InjectedFile>,
        request: AttachRequest,
    ) -> Result<Foreground, EngineError> {
        let act = || format!("connect to container `{name}`");
        let record = self.inner.get(name)?;
        let reads_pipe = request.stdio.stdin.is_some() && !record.spec.process.tty;
        let (ends, theirs) = pipes(reads_pipe).map_err(|error| EngineError::act(act(), error))?;
        let started = name.clone();
        let _performed = self
            .blocking(move |inner| inner.start_with(&started, &files, Some(theirs)))
            .await?;
        self.relay(record, ends, request)
            .map_err(|error| EngineError::act(act(), error))
    }

    /// Passes bytes on between the caller's streams and the container's until it ends.
    fn relay(
        &self,
        record: ContainerRecord,
        ends: Ends,
        mut request: AttachRequest,
    ) -> io::Result<Foreground> {
        let shown = [
            show(ends.stdout, request.stdio.stdout.take())?,
            show(ends.stderr, request.stdio.stderr.take())?,
        ];
        let detached = if record.spec.process.tty {
            let run_dir = self.inner.layout.container_run(&record.id);
            match connect_terminal(run_dir, Screen::Hidden, request) {
                Ok(detached) => detached.boxed(),
                // The container has ended already, or the monitor has: there is nothing to type into.
                Err(_) => future::pending().boxed(),
            }
        } else {
            if let (Some(from), Some(to)) = (request.stdio.stdin, ends.stdin) {
                // It waits for input that may never come, and ends with the command.
                let copy = move || io::copy(&mut File::from(from), &mut File::from(to));
                let _thread = thread::Builder::new().spawn(copy)?;
            }
            future::pending().boxed()
        };
        let engine = self.clone();
        let foreground = async move {
            let exit_code = tokio::select! {
                exit_code = engine.wait_for_end(&record.name) => exit_code?,
                () = detached => return Ok(None),
            };
            let act = format!("show the output of container `{}`", record.name);
            // They end when the monitor has passed everything on.
            let joined = beside(move || shown.map(JoinHandle::join));
            let _shown = joined.await.map_err(|error| EngineError::act(act, error))?;
            Ok(Some(exit_code))
        };
        Ok(foreground.boxed())
    }
}

/// Makes the pipes of a container in the foreground: the command's ends and the monitor's.
fn pipes(reads_pipe: bool) -> io::Result<(Ends, [OwnedFd; 3])> {
    let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stdin, their_stdin) = if reads_pipe {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        (Some(ours), theirs)
    } else {
        (None, File::open("/dev/null")?.into())
    };
    let ends = Ends {
        stdin,
        stdout,
        stderr,
    };
    Ok((ends, [their_stdin, their_stdout, their_stderr]))
}

/// Copies what the container writes to one of the caller's streams; ends when that or the container's is closed.
fn show(from: OwnedFd, to: Option<OwnedFd>) -> io::Result<JoinHandle<io::Result<u64>>> {
    thread::Builder::new().spawn(move || {
        let mut from = File::from(from);
        match to {
            Some(to) => io::copy(&mut from, &mut File::from(to)),
            None => io::copy(&mut from, &mut io::sink()),
        }
    })
}
