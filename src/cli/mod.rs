//! argv into an exit code: reads arguments, environment, working directory and clock, and runs one verb.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or nothing to do |
//! | 1 | a step failed, or what was asked for is not there |
//! | 2 | wrong usage; of `plan`: there are changes (its wrong usage is 1) |
//! | 3 | the Compose files have mistakes |
//! | 4 | the engine cannot be reached |
//! | 130 | interrupted by Ctrl-C or SIGTERM |
//! | 255 | a bug in consort |
//!
//! `exec`, `wait` and `up --exit-code-from` return the container's own code. A reader that closes our output early
//! (`consort logs | head`) ends the command quietly with 0.

mod role;
mod args;
mod flags;
mod environment;
mod annotate;
mod error;
mod unsupported;
mod misplaced;
mod invocation;
mod engine;
mod remote;
mod event_loop;
mod interrupt;
mod time;
mod choices;
mod format;
mod select;
mod terminal;
mod follow;
mod desire;
mod pin;
mod attached;
mod show;
mod work;
mod board;
mod complete;
mod commands;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::report::{Ansi, Output, ProgressStyle};
use crate::runtime::kernel::heap;
use annotate::Annotations;
use args::CommandLine;
use environment::Environment;
use error::{CommandError, ExitStatus};
use invocation::Invocation;

/// Runs what the process was started for.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = role::play(&words) {
        return code;
    }
    complete::answer(&words)
        .unwrap_or_else(|| run(&words))
        .into()
}

fn run(words: &[OsString]) -> ExitStatus {
    heap::grow_in_large_steps();
    let typed = match CommandLine::read(words) {
        Ok(typed) => typed,
        Err(refusal) => return refuse(words, &refusal),
    };
    let mut annotations = Annotations::Off;
    let mut style = ProgressStyle::Plain;
    let done = Environment::read()
        .inspect(|environment| annotations = Annotations::wanted_by(environment))
        .and_then(|environment| Invocation::new(environment, typed.global, spoken(words)))
        .inspect(|invocation| style = invocation.progress_style())
        .and_then(|invocation| typed.verb.run(&invocation));
    match done {
        Ok(status) => status,
        Err(error) => {
            let mut output = Output::stderr(Ansi::Auto);
            let status = match style {
                ProgressStyle::Json => error.report_as_json(&mut output),
                ProgressStyle::Tree | ProgressStyle::Plain | ProgressStyle::Quiet => {
                    error.report(&mut output)
                }
            };
            // Whoever reads the annotations reads the error as well.
            drop(output.bytes(error.annotations(&annotations).as_bytes()));
            status
        }
    }
}

/// Answers words that are no command line of ours: with help, with the version, or with what is wrong.
fn refuse(words: &[OsString], refusal: &clap::Error) -> ExitStatus {
    if let Some(not_yet) = unsupported::explain(refusal) {
        let error = CommandError::user(format!("`{}` is not supported yet", not_yet.word));
        let error = not_yet.hint.into_iter().fold(error, CommandError::hint);
        return error.report(&mut Output::stderr(Ansi::Auto));
    }
    let is_answer = matches!(
        refusal.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let status = match () {
        () if is_answer => ExitStatus::Done,
        () if is_plan(words) => ExitStatus::Failed,
        () => ExitStatus::Usage,
    };
    if let Some(flag) = misplaced::flag(refusal) {
        let text = format!("`{flag}` stands before the command");
        let error = CommandError::of(status, text);
        let error = error.hint("write it directly behind `consort`");
        return error.report(&mut Output::stderr(Ansi::Auto));
    }
    error::show_refusal(refusal, status)
}

/// Tells whether the verb is `plan`, whose exit code 2 means something else than wrong usage.
fn is_plan(words: &[OsString]) -> bool {
    let parsed = args::whole()
        .ignore_errors(true)
        .try_get_matches_from(words);
    parsed.is_ok_and(|matches| matches.subcommand_name() == Some("plan"))
}

/// Returns the command line as others shall read it when they wait for us.
fn spoken(words: &[OsString]) -> String {
    let words = words.iter().map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}
