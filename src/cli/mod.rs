//! argv into an exit code: reads arguments, environment, working directory and clock, and runs one verb.

mod role;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs what the process was started for.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    role::play(&words).unwrap_or(ExitCode::SUCCESS)
}
