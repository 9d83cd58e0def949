//! Programs run inside containers: `exec`, hooks, and connections to a container's first process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;

use futures_util::StreamExt as _;
use tokio::sync::{oneshot, watch};

use super::inner::Inner;
use super::not_supported;
use super::record::{ContainerRecord, new_id};
use super::relay::{Relay, type_into};
use super::{Embedded, describe};
use crate::desired::HookSpec;
use crate::engine::{
    AttachRequest, Engine as _, EngineError, EventKind, ExecRequest, LogQuery, OutputStream,
    Performed, Stdio, Tail, TerminalSize,
};
use crate::runtime::container;
use crate::runtime::container::description::Privilege;
use crate::runtime::container::exec::{self, Executed};
use crate::runtime::monitor::bundle::Bundle;
use crate::runtime::monitor::control::{ControlError, DetachKeys, Screen, Typed};
use crate::runtime::monitor::{self, control};
use crate::value::ContainerName;

/// As much of a hook's output is told when it fails.
const HOOK_OUTPUT_LIMIT_BYTES: u64 = 4 << 10;

impl Inner {
    /// Starts a program inside a container that runs.
    fn start_inside(
        &self,
        record: &ContainerRecord,
        request: &ExecRequest,
        stdio: container::Stdio,
    ) -> Result<Executed, EngineError> {
        let name = &record.name;
        let container = self.running(record)?;
        let run_dir = self.layout.container_run(&record.id);
        let read = || format!("read how container `{name}` runs");
        let bundle = match Bundle::find(&run_dir) {
            Err(error) if error.is_damage() => {
                let bundle = self.assemble(record)?;
                bundle
                    .write()
                    .map_err(|error| EngineError::act(read(), error))?;
                Some(bundle)
            }
            found => found.map_err(|error| EngineError::act(read(), error))?,
        };
        let first = bundle
            .as_ref()
            .map(|bundle| monitor::first_process(bundle, &container))
            .transpose();
        let first = first.map_err(|error| EngineError::act(read(), error))?;
        let not_running = || EngineError::NotRunning { name: name.clone() };
        let first = first.flatten().ok_or_else(not_running)?;
        let variables = request.environment.iter();
        let started = exec::begin(exec::ExecRequest {
            own_program: &self.program,
            container: &container,
            first: &first,
            seccomp: &describe::seccomp(&record.spec.security),
            args: request.args.clone(),
            env: variables
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            user: request.user.clone(),
            cwd: request.working_dir.as_ref().map(Into::into),
            privilege: if request.privileged {
                Privilege::Privileged
            } else {
                Privilege::Confined
            },
            stdio,
        });
        let started = started.and_then(|mut started| {
            started.wait_until_it_runs()?;
            Ok(started)
        });
        started.map_err(|error| {
            EngineError::act(format!("run a program in container `{name}`"), error)
        })
    }

    fn exec_blocking(
        &self,
        name: &ContainerName,
        mut request: ExecRequest,
    ) -> Result<i32, EngineError> {
        let record = self.get(name)?;
        let act = || format!("run a program in container `{name}`");
        let tty = request.tty.take();
        let own = std::mem::take(&mut request.stdio);
        let failed = |error: io::Error| EngineError::act(act(), error);
        let told = ExecEvents::begin(self, &record, &request.args)?;
        if request.detach {
            let nothing = Relay::new().and_then(|mut relay| relay.streams(Stdio::default()));
            let stdio = container::Stdio::Files(nothing.map_err(failed)?);
            let started = self.start_inside(&record, &request, stdio)?;
            told.started();
            let left = started.leave();
            left.map_err(|error| EngineError::act(act(), error))?;
            return Ok(0);
        }
        let mut relay = Relay::new().map_err(failed)?;
        let mut started = match tty {
            Some(size) => {
                let TerminalSize { rows, columns } = *size.borrow();
                let stdio = container::Stdio::Terminal { rows, columns };
                let mut started = self.start_inside(&record, &request, stdio)?;
                if let Some(terminal) = started.take_terminal() {
                    show_terminal(terminal, own, size, &mut relay).map_err(failed)?;
                }
                started
            }
            None => {
                let stdio = container::Stdio::Files(relay.streams(own).map_err(failed)?);
                self.start_inside(&record, &request, stdio)?
            }
        };
        told.started();
        let exit = started.wait();
        let exit = exit.map_err(|error| EngineError::act(act(), error))?;
        told.ended(exit.shell_code());
        relay.finish();
        Ok(exit.shell_code())
    }
}

/// What the followers of events hear of a program inside a container.
struct ExecEvents<'inner> {
    inner: &'inner Inner,
    record: &'inner ContainerRecord,
    command: String,
    id: String,
}

impl<'inner> ExecEvents<'inner> {
    /// Tells that a program is about to run.
    fn begin(
        inner: &'inner Inner,
        record: &'inner ContainerRecord,
        args: &[String],
    ) -> Result<Self, EngineError> {
        let act = || format!("run a program in container `{}`", record.name);
        let events = Self {
            inner,
            record,
            command: args.join(" "),
            id: new_id().map_err(|error| EngineError::act(act(), error))?,
        };
        let command = events.command.clone();
        events.tell(&EventKind::ExecCreate { command }, None);
        Ok(events)
    }

    fn started(&self) {
        let command = self.command.clone();
        self.tell(&EventKind::ExecStart { command }, None);
    }

    fn ended(&self, exit_code: i32) {
        self.tell(&EventKind::ExecDie, Some(exit_code));
    }

    fn tell(&self, kind: &EventKind, exit_code: Option<i32>) {
        let id = [("execID", self.id.clone())];
        let code = exit_code.map(|code| ("exitCode", code.to_string()));
        let more: Vec<_> = id.into_iter().chain(code).collect();
        self.inner.append_event(self.record, kind, &more);
    }
}

impl Embedded {
    /// Runs a program inside a container and returns its exit code.
    pub(super) async fn exec_inside(
        &self,
        name: &ContainerName,
        request: ExecRequest,
    ) -> Result<i32, EngineError> {
        let name = name.clone();
        self.blocking(move |inner| inner.exec_blocking(&name, request))
            .await
    }

    /// Runs a hook inside its container; an exit code other than 0 is a failure.
    pub(super) async fn run_hook(
        &self,
        name: &ContainerName,
        hook: &HookSpec,
    ) -> Result<Performed, EngineError> {
        let act = || format!("run a hook of container `{name}`");
        let Some(args) = hook.command.clone() else {
            let what = format!("run a hook without a command for container `{name}`");
            return Err(not_supported(what));
        };
        let (output, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| EngineError::act(act(), io::Error::from(error)))?;
        let errors = theirs
            .try_clone()
            .map_err(|error| EngineError::act(act(), error))?;
        let request = ExecRequest {
            args: args.clone(),
            environment: hook.environment.clone(),
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            tty: None,
            privileged: hook.privileged,
            detach: false,
            stdio: Stdio {
                stdin: None,
                stdout: Some(theirs),
                stderr: Some(errors),
            },
        };
        let said = thread::Builder::new().spawn(move || heard(output));
        let said = said.map_err(|error| EngineError::act(act(), error))?;
        let exit_code = self.exec_inside(name, request).await?;
        let said = said.join().ok().and_then(Result::ok).unwrap_or_default();
        hook_ended(name, &args, exit_code, said)
    }

    /// Connects to a container's first process until it ends or the user detaches.
    pub(super) async fn attach_to(
        &self,
        name: &ContainerName,
        request: AttachRequest,
    ) -> Result<Option<i32>, EngineError> {
        let record = self.inner.get(name)?;
        self.inner.require_alive(&record)?;
        if record.spec.process.tty {
            self.attach_terminal(&record, request).await
        } else {
            self.attach_streams(&record, request).await
        }
    }

    async fn attach_streams(
        &self,
        record: &ContainerRecord,
        request: AttachRequest,
    ) -> Result<Option<i32>, EngineError> {
        let name = &record.name;
        let act = || format!("connect to container `{name}`");
        let run_dir = self.inner.layout.container_run(&record.id);
        let fifo = if record.spec.process.stdin_open {
            let fifo = OpenOptions::new().write(true).open(run_dir.join("stdin"));
            Some(fifo.map_err(|error| EngineError::act(act(), error))?)
        } else {
            None
        };
        let keys = DetachKeys::new(request.detach_keys);
        let stdin = request.stdio.stdin;
        let typing = stdin.map(|stdin| feed(stdin, fifo, keys)).transpose();
        let typing = typing.map_err(|error| EngineError::act(act(), error))?;
        let detached = async move {
            match typing {
                Some(typing) => typing.await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(detached);
        let (mut stdout, mut stderr) = (
            request.stdio.stdout.map(File::from),
            request.stdio.stderr.map(File::from),
        );
        let query = LogQuery {
            tail: Tail::Lines(0),
            since: None,
            until: None,
            follow: true,
        };
        let mut lines = self.logs(name, &query).await?;
        let ended = self.wait_for_end(name);
        tokio::pin!(ended);
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                exit_code = &mut ended => return exit_code.map(Some),
                () = &mut detached => return Ok(None),
            };
            let Some(line) = line else {
                return ended.await.map(Some);
            };
            let line = line?;
            let out = match line.stream {
                OutputStream::Stdout => &mut stdout,
                OutputStream::Stderr => &mut stderr,
            };
            if let Some(out) = out {
                let mut bytes = line.bytes;
                bytes.push(b'\n');
                out.write_all(&bytes)
                    .map_err(|error| EngineError::act(act(), error))?;
            }
        }
    }

    async fn attach_terminal(
        &self,
        record: &ContainerRecord,
        request: AttachRequest,
    ) -> Result<Option<i32>, EngineError> {
        let run_dir = self.inner.layout.container_run(&record.id);
        let act = format!("connect to the terminal of container `{}`", record.name);
        let detached = connect_terminal(run_dir, Screen::Shown, request);
        let detached = detached.map_err(|error| EngineError::act(act, error))?;
        tokio::select! {
            exit_code = self.wait_for_end(&record.name) => exit_code.map(Some),
            () = detached => Ok(None),
        }
    }
}

/// Says how a hook went.
pub(super) fn hook_ended(
    name: &ContainerName,
    args: &[String],
    exit_code: i32,
    output: String,
) -> Result<Performed, EngineError> {
    match exit_code {
        0 if output.is_empty() => Ok(Performed::Done),
        0 => Ok(Performed::Said { output }),
        _ => Err(EngineError::HookFailed {
            name: name.clone(),
            command: args.join(" "),
            exit_code,
            output,
        }),
    }
}

/// Reads all that a hook writes, and returns the beginning.
pub(super) fn heard(output: OwnedFd) -> io::Result<String> {
    let mut file = File::from(output);
    let mut kept = Vec::new();
    let _count = (&mut file)
        .take(HOOK_OUTPUT_LIMIT_BYTES)
        .read_to_end(&mut kept)?;
    // The rest is read so that the hook never waits for us.
    let _rest = io::copy(&mut file, &mut io::sink())?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// Connects the caller's terminal to that of a container; the returned future ends when the user detaches.
pub(super) fn connect_terminal(
    run_dir: PathBuf,
    screen: Screen,
    request: AttachRequest,
) -> Result<impl Future<Output = ()> + Send + use<>, ControlError> {
    let attached = control::attach(&run_dir, screen)?;
    if let Some(size) = request.terminal {
        let run_dir = run_dir.clone();
        let _task = tokio::spawn(follow_size(size, move |size| {
            let resize = control::Request::Resize {
                rows: size.rows,
                columns: size.columns,
            };
            // A container that has ended has no terminal to resize.
            drop(control::ask(&run_dir, &resize));
        }));
    }
    let (detached, detach) = oneshot::channel();
    let relayed = attached.relay(
        request.stdio.stdin,
        request.stdio.stdout,
        request.detach_keys,
        move || {
            // The receiver has gone with the container.
            let _told = detached.send(());
        },
    );
    relayed.map_err(|source| ControlError::Broken {
        path: run_dir,
        source,
    })?;
    Ok(async move {
        if detach.await.is_err() {
            // The keyboard was closed: the user cannot detach any more.
            std::future::pending::<()>().await;
        }
    })
}

/// Calls `resize` with the size now and each time that it changes.
async fn follow_size(mut size: watch::Receiver<TerminalSize>, resize: impl Fn(TerminalSize)) {
    loop {
        let now = *size.borrow_and_update();
        resize(now);
        if size.changed().await.is_err() {
            return;
        }
    }
}

/// Connects a terminal with the user's streams.
fn show_terminal(
    terminal: OwnedFd,
    own: Stdio,
    size: watch::Receiver<TerminalSize>,
    relay: &mut Relay,
) -> io::Result<()> {
    let sized = File::from(terminal.try_clone()?);
    let _task = tokio::runtime::Handle::current().spawn(follow_size(size, move |size| {
        let size = rustix::termios::Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // A terminal that is gone needs no size.
        let _sized = rustix::termios::tcsetwinsize(&sized, size);
    }));
    if let Some(stdin) = own.stdin {
        type_into(stdin, terminal.try_clone()?)?;
    }
    relay.show(terminal, own.stdout)?;
    Ok(())
}

/// Passes the caller's input on to a container's, where it has one; the returned future ends when the user detaches.
fn feed(
    stdin: OwnedFd,
    fifo: Option<File>,
    keys: DetachKeys,
) -> io::Result<impl Future<Output = ()>> {
    let (detached, detach) = oneshot::channel();
    // It waits for input that may never come, and ends with the command.
    let _thread = thread::Builder::new().spawn(move || {
        if pass_lines(File::from(stdin), fifo, keys).is_ok_and(|typed| typed == Typed::Detach) {
            let _told = detached.send(());
        }
    })?;
    Ok(async move {
        if detach.await.is_err() {
            // The input was closed: the user cannot detach any more.
            std::future::pending::<()>().await;
        }
    })
}

fn pass_lines(mut stdin: File, mut fifo: Option<File>, mut keys: DetachKeys) -> io::Result<Typed> {
    let mut buffer = [0; 4096];
    loop {
        let count = stdin.read(&mut buffer)?;
        let (passed, typed) = match count {
            0 => (std::mem::take(&mut keys).rest(), Typed::More),
            _ => keys.pass(&buffer[..count]),
        };
        if let Some(fifo) = &mut fifo {
            fifo.write_all(&passed)?;
        }
        if count == 0 || typed == Typed::Detach {
            return Ok(typed);
        }
    }
}
