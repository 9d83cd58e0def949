//! One run of a program, from start to end, and what it said.
//!
//! **Invariant:** its output goes through pipes that must be closed when it ends: a process that it
//! leaves behind must not hold them, or `consort up -d | cat` would never return.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::SignalKind;

/// Longer than anything that a scenario waits for; a program that takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A finished program.
#[derive(Debug, Clone)]
#[must_use = "say what it must have done: `.succeeds()` or `.fails_with(code)`"]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Returns what was printed, after checking that the program exited with 0.
    pub(crate) fn succeeds(self) -> String {
        assert!(self.status.success(), "must succeed: {self}");
        self.stdout
    }

    /// Returns what was said on stderr, after checking the exit code.
    pub(crate) fn fails_with(self, code: i32) -> String {
        assert!(
            self.status.code() == Some(code),
            "must exit with {code}: {self}"
        );
        self.stderr
    }

    /// Checks that the program was ended by `kill -9`.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// Whether the program exited with 0.
    pub(crate) fn ok(&self) -> bool {
        self.status.success()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "`{}`: {}", self.command, self.status)?;
        writeln!(out, "--- stdout\n{}", self.stdout)?;
        write!(out, "--- stderr\n{}", self.stderr)
    }
}

/// A program that was started and not waited for yet.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    command: String,
    stdout: Collected,
    stderr: Collected,
}

/// What is read of an output: so far, and whole once it has ended.
#[derive(Debug)]
struct Collected {
    so_far: Arc<Mutex<Vec<u8>>>,
    whole: Receiver<String>,
}

impl Running {
    /// Starts `command` without input, both outputs read from the first byte.
    pub(crate) fn start(command: Command) -> Self {
        Self::with_input(command, Stdio::null())
    }

    /// Starts `command` with an input of its own.
    pub(crate) fn with_input(mut command: Command, input: Stdio) -> Self {
        hear_signals();
        let words: Vec<String> = [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
        Self {
            child,
            command: words.join(" "),
            stdout,
            stderr,
        }
    }

    /// Returns what the program has written by now, to either of its outputs.
    pub(crate) fn written(&self) -> String {
        let so_far = [&self.stdout, &self.stderr].map(|output| {
            let bytes = output.so_far.lock().expect("no reader panics");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        so_far.concat()
    }

    /// Tells whether the program has written a text by now, to one of its outputs.
    pub(crate) fn has_written(&self, text: &str) -> bool {
        self.written().contains(text)
    }

    /// Sends a signal to the program itself.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the program is still there");
    }

    /// Waits for the end of the program and of its output.
    pub(crate) fn wait(mut self) -> Run {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().expect("a child can be killed");
                let run = self.finish(ExitStatus::from_raw(0));
                unreachable_patience(&run);
            }
            thread::sleep(Duration::from_millis(2));
        };
        self.finish(status)
    }

    fn finish(self, status: ExitStatus) -> Run {
        let read = |output: &Collected, name| {
            let text = output.whole.recv_timeout(Duration::from_secs(10));
            assert!(
                text.is_ok(),
                "`{}` ended, but somebody still holds its {name}",
                self.command
            );
            text.expect("checked above")
        };
        Run {
            status,
            stdout: read(&self.stdout, "stdout"),
            stderr: read(&self.stderr, "stderr"),
            command: self.command,
        }
    }
}

/// Makes signals that this process ignores reach the programs that it starts.
///
/// A shell ignores SIGINT for what it runs in the background, and so does all that is started from there. A signal that is
/// caught here is back at its default in the next program; one that is not ignored is left alone, so that Ctrl-C ends tests.
fn hear_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let ignored = ignored.expect("the kernel says which signals are ignored");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime can be made");
        let _inside = runtime.enter();
        for signal in [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
        ] {
            if ignored & (1 << (signal.as_raw_value() - 1)) != 0 {
                drop(tokio::signal::unix::signal(signal).expect("a signal can be caught"));
            }
        }
    });
}

fn unreachable_patience(run: &Run) -> ! {
    assert!(
        run.command.is_empty(),
        "took longer than {PATIENCE:?} and was killed: {run}"
    );
    unreachable!("a command is never empty")
}

fn collect(mut source: impl Read + Send + 'static) -> Collected {
    let (sender, whole) = mpsc::channel();
    let so_far = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&so_far);
    thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(count @ 1..) = source.read(&mut piece) {
            let mut seen = seen.lock().expect("no other thread panics");
            seen.extend_from_slice(&piece[..count]);
        }
        let bytes = seen.lock().expect("no other thread panics");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Nobody listens any more when the test has failed already.
        drop(sender.send(text));
    });
    Collected { so_far, whole }
}
