//! Half a command line → the words that a shell offers to complete it.
//!
//! The script that `completion` writes makes the shell start consort with the variable `COMPLETE`; then consort answers
//! here instead of doing anything.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use clap::FromArgMatches as _;
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::args::{GlobalArgs, whole};
use super::environment::Environment;
use super::error::ExitStatus;
use super::invocation::Invocation;
use crate::compose::model::Service;
use crate::compose::source::Disk;
use crate::compose::{self, Project, Switches};

/// The variable that says which shell asks.
const VARIABLE: &str = "COMPLETE";

/// Answers a shell that asks for completions; returns nothing when none does.
pub(super) fn answer(words: &[OsString]) -> Option<ExitStatus> {
    let answering = CompleteEnv::with_factory(whole).var(VARIABLE);
    match answering.try_complete(words, None) {
        Ok(true) => Some(ExitStatus::Done),
        Ok(false) => None,
        // A shell that cannot be answered completes nothing; a message would land in the user's prompt.
        Err(_) => Some(ExitStatus::Failed),
    }
}

/// Returns the script that makes a shell ask.
pub(super) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let completer = shells
        .completer(&shell.to_string())
        .ok_or(io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "consort", "consort", "consort", &mut script)?;
    Ok(script)
}

/// Completes the name of a service.
pub(super) fn service() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| fitting(typed, service_names()))
}

/// Completes the name of a service, after which a number comes.
pub(super) fn scaled_service() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let names = service_names().into_iter();
        fitting(typed, names.map(|name| name + "=").collect())
    })
}

/// Completes the name of a profile.
pub(super) fn profile() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let services = services();
        let mut names: Vec<String> = services
            .values()
            .flat_map(|it| it.profiles.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        fitting(typed, names)
    })
}

fn fitting(typed: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = names.into_iter().filter(|name| name.starts_with(&*typed));
    fitting.map(CompletionCandidate::new).collect()
}

fn service_names() -> Vec<String> {
    services().into_keys().collect()
}

/// Returns all services of the project that the command line is about, as far as it is typed; none if they cannot be read.
fn services() -> BTreeMap<String, Service> {
    project().map_or_else(BTreeMap::new, |project| {
        let mut services = project.services;
        services.extend(project.disabled_services);
        services
    })
}

fn project() -> Option<Project> {
    let typed = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = whole()
        .ignore_errors(true)
        .try_get_matches_from(typed)
        .ok()?;
    let global = GlobalArgs::from_arg_matches(&matches).ok()?;
    let invocation = Invocation::new(Environment::read().ok()?, global, String::new()).ok()?;
    let switches = Switches {
        no_consistency: true,
        no_env_resolution: true,
        ..Switches::default()
    };
    // Nothing is fetched from other machines for a key press.
    let loaded = compose::load(&invocation.load_options(&[], switches), &Disk).ok()?;
    Some(loaded.project)
}
