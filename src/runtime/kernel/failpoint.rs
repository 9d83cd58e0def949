//! Named failpoints: every durable or kernel-visible step passes one, so that a test can make it fail.
//!
//! `CONSORT_FAIL=name:nth:action` fails the `nth` pass (from 1; `*` is every pass) of the point `name`
//! in each process. Actions: `abort` (this process is killed as by `kill -9`), `errno=ENOSPC` (the
//! step fails with that error), `delay_ms=50`. `CONSORT_FAIL=list:FILE` appends the name of every point
//! that is passed to FILE instead, one per line; a sweep is made from that list.
//!
//! The variable is read once, by `cli`; [`armed_text`] is what a re-executed process is given.
//! In release builds nothing is ever armed and [`hit`] is empty.
//!
//! **Invariant:** passing a point allocates nothing and takes no lock, so the child between `clone` and
//! `execve` may pass one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::libc;
use rustix::process::Signal;
use thiserror::Error;

/// The environment variable that arms a failpoint.
pub const VARIABLE: &str = "CONSORT_FAIL";

/// A failpoint description that makes no sense.
#[derive(Debug, Error)]
pub enum FailpointError {
    /// The text is not of the form that is documented above.
    #[error("read failpoint `{text}`: expected `name:nth:action` or `list:FILE`")]
    Form {
        /// The text as it was given.
        text: String,
    },
    /// The file that passed points are listed in cannot be opened.
    #[error("open `{path}` to list failpoints")]
    List {
        /// The file.
        path: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug)]
enum Effect {
    Abort,
    Errno(i32),
    Delay(Duration),
}

#[derive(Debug)]
enum Mode {
    List(File),
    /// `nth` zero means every pass.
    Fail {
        name: String,
        nth: u32,
        passes: AtomicU32,
        effect: Effect,
    },
}

#[derive(Debug)]
struct Armed {
    text: String,
    mode: Mode,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms the point that `text` describes, once per process.
///
/// Does nothing in release builds.
pub fn arm(text: &str) -> Result<(), FailpointError> {
    if !cfg!(debug_assertions) || text.is_empty() {
        return Ok(());
    }
    let armed = Armed {
        text: text.to_owned(),
        mode: parse(text)?,
    };
    ARMED.get_or_init(|| armed);
    Ok(())
}

/// Returns what is armed, for a process that is about to be started from our own binary.
pub fn armed_text() -> Option<&'static str> {
    ARMED.get().map(|armed| armed.text.as_str())
}

/// Passes the point `name`: returns the armed error, or never returns, or does nothing.
#[inline]
pub fn hit(name: &'static str) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    match ARMED.get() {
        None => Ok(()),
        Some(armed) => pass(&armed.mode, name),
    }
}

fn pass(mode: &Mode, name: &str) -> io::Result<()> {
    match mode {
        Mode::List(file) => note(file, name),
        Mode::Fail {
            name: wanted,
            nth,
            passes,
            effect,
        } if wanted == name => {
            let pass = passes.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if *nth == 0 || *nth == pass {
                perform(effect)
            } else {
                Ok(())
            }
        }
        Mode::Fail { .. } => Ok(()),
    }
}

fn note(mut file: &File, name: &str) -> io::Result<()> {
    let mut line = [0_u8; 128];
    let length = name.len().min(line.len() - 1);
    line[..length].copy_from_slice(&name.as_bytes()[..length]);
    line[length] = b'\n';
    // One write to a file opened for appending: lines of several processes do not mix.
    file.write_all(&line[..=length])
}

fn perform(effect: &Effect) -> io::Result<()> {
    match effect {
        Effect::Errno(errno) => Err(io::Error::from_raw_os_error(*errno)),
        Effect::Delay(delay) => {
            let request = rustix::time::Timespec {
                tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: delay.subsec_nanos().into(),
            };
            // An interrupted delay is only a shorter one.
            match rustix::thread::nanosleep(&request) {
                rustix::thread::NanosleepRelativeResult::Err(errno) => Err(errno.into()),
                rustix::thread::NanosleepRelativeResult::Ok
                | rustix::thread::NanosleepRelativeResult::Interrupted(_) => Ok(()),
            }
        }
        Effect::Abort => {
            rustix::process::kill_process(rustix::process::getpid(), Signal::KILL)?;
            // Only the first process of a pid namespace is still here: the kernel keeps it from
            // killing itself. Leaving without any clean-up is as near as it gets.
            super::process::exit_now(137)
        }
    }
}

fn parse(text: &str) -> Result<Mode, FailpointError> {
    let form = || FailpointError::Form {
        text: text.to_owned(),
    };
    if let Some(path) = text.strip_prefix("list:") {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| FailpointError::List {
                path: path.to_owned(),
                source,
            })?;
        return Ok(Mode::List(out_of_the_way(file)));
    }
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(nth), Some(action)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(form());
    };
    let nth = if nth == "*" {
        0
    } else {
        nth.parse().map_err(|_| form())?
    };
    let effect = parse_effect(action).ok_or_else(form)?;
    Ok(Mode::Fail {
        name: name.to_owned(),
        nth,
        passes: AtomicU32::new(0),
        effect,
    })
}

/// Moves a file to a number far above those that a process of ours is passed: it takes them over by
/// counting from the lowest.
fn out_of_the_way(file: File) -> File {
    const FIRST: i32 = 512;
    rustix::io::fcntl_dupfd_cloexec(&file, FIRST).map_or(file, File::from)
}

fn parse_effect(action: &str) -> Option<Effect> {
    if action == "abort" {
        return Some(Effect::Abort);
    }
    let (key, value) = action.split_once('=')?;
    match key {
        "errno" => errno_of(value).map(Effect::Errno),
        "delay_ms" => value
            .parse()
            .ok()
            .map(|ms| Effect::Delay(Duration::from_millis(ms))),
        _ => None,
    }
}

fn errno_of(name: &str) -> Option<i32> {
    let known = [
        ("EACCES", libc::EACCES),
        ("EAGAIN", libc::EAGAIN),
        ("EBUSY", libc::EBUSY),
        ("EDQUOT", libc::EDQUOT),
        ("EEXIST", libc::EEXIST),
        ("EINTR", libc::EINTR),
        ("EINVAL", libc::EINVAL),
        ("EIO", libc::EIO),
        ("EMFILE", libc::EMFILE),
        ("ENFILE", libc::ENFILE),
        ("ENOENT", libc::ENOENT),
        ("ENOMEM", libc::ENOMEM),
        ("ENOSPC", libc::ENOSPC),
        ("ENOSYS", libc::ENOSYS),
        ("EPERM", libc::EPERM),
        ("EROFS", libc::EROFS),
    ];
    known
        .iter()
        .find(|(text, _)| *text == name)
        .map(|(_, errno)| *errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_pass_of_the_named_point_fails() {
        let mode = parse("store.rename:2:errno=ENOSPC").unwrap();
        assert!(pass(&mode, "store.rename").is_ok());
        assert!(pass(&mode, "store.sync").is_ok());
        let error = pass(&mode, "store.rename").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert!(pass(&mode, "store.rename").is_ok());
    }

    #[test]
    fn a_star_fails_every_pass() {
        let mode = parse("a:*:errno=EIO").unwrap();
        assert!(pass(&mode, "a").is_err());
        assert!(pass(&mode, "a").is_err());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in ["a", "a:1", "a:x:abort", "a:1:errno=EWHAT", "a:1:explode"] {
            assert!(parse(text).unwrap_err().to_string().contains(text));
        }
    }

    #[test]
    fn listing_appends_the_names_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points");
        let mode = parse(&format!("list:{}", path.display())).unwrap();
        pass(&mode, "one").unwrap();
        pass(&mode, "two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }
}
