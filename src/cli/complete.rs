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
use super::event_loop::block_on;
use super::invocation::Invocation;
use crate::compose::model::Service;
use crate::compose::source::Disk;
use crate::compose::{self, Project, Switches, explain};
use crate::value::Signal;

/// The variable that says which shell asks.
const VARIABLE: &str = "COMPLETE";

/// The variable in which a shell says which word is completed; without it, it is the last one.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Answers a shell that asks for completions; returns nothing when none does.
pub(super) fn answer(words: &[OsString]) -> Option<ExitStatus> {
    let offers = || {
        if is_flag(words) {
            whole()
        } else {
            with_hidden_flags()
        }
    };
    let answering = CompleteEnv::with_factory(offers).var(VARIABLE);
    match answering.try_complete(words, None) {
        Ok(true) => Some(ExitStatus::Done),
        Ok(false) => None,
        // A shell that cannot be answered completes nothing; a message would land in the user's prompt.
        Err(_) => Some(ExitStatus::Failed),
    }
}

/// Tells whether the word to be completed begins as a flag does.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's question is no command line, whose environment is read elsewhere"
)]
fn is_flag(words: &[OsString]) -> bool {
    let typed: Vec<&OsString> = words
        .iter()
        .skip_while(|word| *word != "--")
        .skip(1)
        .collect();
    let index = std::env::var(INDEX).ok().and_then(|text| text.parse().ok());
    let word = typed.get(index.unwrap_or(typed.len().saturating_sub(1)));
    word.is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"))
}

/// Returns all that can be typed; flags are offered only where nothing else can be.
fn with_hidden_flags() -> clap::Command {
    let hide = |arg: clap::Arg| {
        let is_flag = !arg.is_positional();
        arg.hide(is_flag)
    };
    whole()
        .mut_args(hide)
        .mut_subcommands(|verb| verb.mut_args(hide))
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

/// Completes the name of a project that has containers here.
pub(super) fn project() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| fitting(typed, project_names().unwrap_or_default()))
}

/// Completes the name of a signal, with `SIG` or without.
pub(super) fn signal() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let upper = typed.to_string_lossy().to_ascii_uppercase();
        let names = Signal::named().map(|signal| signal.to_string());
        let names = names.filter_map(|name| {
            let bare = name.trim_start_matches("SIG");
            if name.starts_with(&upper) {
                Some(name)
            } else {
                bare.starts_with(&upper).then(|| bare.to_owned())
            }
        });
        names.map(CompletionCandidate::new).collect()
    })
}

/// Completes the path of a value of the project by one more step.
pub(super) fn path() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let text = typed.to_string_lossy();
        let steps = loaded().map(|project| explain::steps(&project, &text));
        fitting(typed, steps.into_iter().flatten().collect())
    })
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
    loaded().map_or_else(BTreeMap::new, |project| {
        let mut services = project.services;
        services.extend(project.disabled_services);
        services
    })
}

fn project_names() -> Option<Vec<String>> {
    let engine = typed()?.engine().ok()?;
    let projects = block_on(async { Ok(engine.projects().await?) }).ok()?;
    Some(projects.iter().map(|it| it.name.to_string()).collect())
}

/// Returns the project that the command line is about.
fn loaded() -> Option<Project> {
    let switches = Switches {
        no_consistency: true,
        no_env_resolution: true,
        ..Switches::default()
    };
    // Nothing is fetched from other machines for a key press.
    let loaded = compose::load(&typed()?.load_options(&[], switches), &Disk).ok()?;
    Some(loaded.project)
}

/// Returns what the flags before the verb say, as far as they are typed.
fn typed() -> Option<Invocation> {
    let typed = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = whole()
        .ignore_errors(true)
        .try_get_matches_from(typed)
        .ok()?;
    let global = GlobalArgs::from_arg_matches(&matches).ok()?;
    Invocation::new(Environment::read().ok()?, global, String::new()).ok()
}
