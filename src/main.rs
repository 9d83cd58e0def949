//! Hands the arguments to [`consort::cli`] and returns its exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    consort::cli::main()
}
