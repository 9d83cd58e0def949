//! argv into an exit code: reads arguments, environment, working directory and clock, and runs one verb.

use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
