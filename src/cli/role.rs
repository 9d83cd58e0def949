//! Which process of ours this is: the command, or one that the command or a monitor has started.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use crate::runtime::container::exec;
use crate::runtime::kernel::failpoint;
use crate::runtime::monitor;
use crate::runtime::network::holder;

/// Runs another process than the command, if that is what this one was started as.
///
/// **Invariant:** called first of all: such a process is about to take over descriptors by number.
pub(super) fn play(words: &[OsString]) -> Option<ExitCode> {
    let name = words.first()?.as_bytes();
    if name == exec::PROCESS_NAME.to_bytes() {
        arm();
        return Some(code(exec::main()));
    }
    if name == monitor::ARG0.to_bytes() {
        arm();
        return Some(monitor::main(&words[1..]));
    }
    if name == holder::ARG0.to_bytes() {
        return Some(holder::main(&words[1..]));
    }
    arm();
    None
}

/// Arms the failpoints that the environment names; a build for users has none.
#[expect(
    clippy::disallowed_methods,
    reason = "the one variable that is read before any command line"
)]
fn arm() {
    if let Ok(text) = std::env::var(failpoint::VARIABLE) {
        // A text that means nothing arms nothing: there is nobody yet to tell.
        drop(failpoint::arm(&text));
    }
}

fn code(number: i32) -> ExitCode {
    u8::try_from(number).map_or(ExitCode::FAILURE, ExitCode::from)
}
