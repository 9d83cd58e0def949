//! Words on the command line → typed arguments; the doc comments here and in `commands/` are the help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use super::commands::Verb;
use super::{complete, flags};
use crate::compose::model::CONTAINER_LIMIT;
use crate::report::Ansi;

/// Runs Compose projects on this machine: no Docker, no daemon, no root needed
#[derive(Debug, Parser)]
#[command(
    name = "consort",
    version,
    disable_help_subcommand = true,
    disable_version_flag = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    max_term_width = 100,
    after_help = EXIT_CODES
)]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) global: GlobalArgs,

    #[command(subcommand)]
    pub(super) verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a step failed
  2    wrong usage; `plan` returns 1 for that, and 2 for: there are changes
  3    the Compose files have mistakes
  4    the engine cannot be reached
  130  interrupted
  255  a bug in consort
  `exec`, `wait` and `up --exit-code-from` return the container's own exit code.";

/// What can stand before every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(super) struct GlobalArgs {
    /// Read this Compose file; repeat it to merge several, `-` reads standard input (`COMPOSE_FILE`)
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,

    /// Name the project (`COMPOSE_PROJECT_NAME`)
    #[arg(short, long, value_name = "NAME", add = complete::project())]
    pub(super) project_name: Option<String>,

    /// Resolve relative paths from this directory instead of that of the first Compose file
    #[arg(long, value_name = "DIR", alias = "workdir")]
    pub(super) project_directory: Option<PathBuf>,

    /// Activate a profile; repeat it for several, `*` activates all (`COMPOSE_PROFILES`)
    #[arg(long = "profile", value_name = "NAME", add = complete::profile())]
    pub(super) profiles: Vec<String>,

    /// Read variables from this file instead of `.env`; repeat it for several (`COMPOSE_ENV_FILES`)
    #[arg(long = "env-file", value_name = "FILE")]
    pub(super) env_files: Vec<PathBuf>,

    /// Include networks, volumes, secrets and configs that no active service uses
    #[arg(long)]
    pub(super) all_resources: bool,

    /// Show progress in this way (`COMPOSE_PROGRESS`)
    #[arg(long, value_name = "KIND")]
    pub(super) progress: Option<Progress>,

    /// Use colours and terminal control: `auto` means on a terminal only (`COMPOSE_ANSI`)
    #[arg(long, value_name = "WHEN")]
    pub(super) ansi: Option<AnsiChoice>,

    /// Do at most so many steps at the same time; -1 sets no limit (`COMPOSE_PARALLEL_LIMIT`)
    #[arg(long, value_name = "COUNT")]
    pub(super) parallel: Option<i64>,

    /// Put `_` instead of `-` between the parts of names, as old versions did (`COMPOSE_COMPATIBILITY`)
    #[arg(long)]
    pub(super) compatibility: bool,

    /// Never use colours, as `--ansi never` does
    #[arg(long, hide = true, conflicts_with = "ansi")]
    pub(super) no_ansi: bool,

    /// Say more; there is nothing more to say
    #[arg(long, hide = true)]
    pub(super) verbose: bool,

    /// Show what would be done and change nothing
    #[arg(long, global = true)]
    pub(super) dry_run: bool,

    /// Keep images, volumes and records in this directory (`CONSORT_STATE_DIR`)
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) state_dir: Option<PathBuf>,

    /// Write the version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),

    /// Fail at once when another command works on the project, instead of waiting for it
    #[arg(long, global = true)]
    pub(super) no_wait: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// A live tree on a terminal, plain lines elsewhere
    Auto,
    /// A live tree
    Tty,
    /// One line for each change
    Plain,
    /// One JSON object on each line
    Json,
    /// Nothing
    Quiet,
}

/// The values of `--ansi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AnsiChoice {
    /// On a terminal only
    Auto,
    /// Never
    Never,
    /// Always, also into a pipe
    Always,
}

impl From<AnsiChoice> for Ansi {
    fn from(choice: AnsiChoice) -> Self {
        match choice {
            AnsiChoice::Auto => Self::Auto,
            AnsiChoice::Never => Self::Never,
            AnsiChoice::Always => Self::Always,
        }
    }
}

/// `SERVICE=COUNT`, as in `--scale web=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) service: String,
    pub(super) replicas: u32,
}

impl std::str::FromStr for Scale {
    type Err = ScaleError;

    fn from_str(text: &str) -> Result<Self, ScaleError> {
        let (service, count) = text.split_once('=').ok_or(ScaleError::NoCount)?;
        if service.is_empty() {
            return Err(ScaleError::NoService);
        }
        let replicas = count
            .parse()
            .map_err(|source| ScaleError::Count { source })?;
        if u64::from(replicas) > CONTAINER_LIMIT {
            return Err(ScaleError::TooMany);
        }
        Ok(Self {
            service: service.to_owned(),
            replicas,
        })
    }
}

/// Why a text is no `SERVICE=COUNT`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScaleError {
    #[error("expected SERVICE=COUNT, such as `web=3`")]
    NoCount,
    #[error("the service's name is missing before `=`")]
    NoService,
    #[error("the count must be a whole number: {source}")]
    Count { source: std::num::ParseIntError },
    #[error("a project may have {CONTAINER_LIMIT} containers in all")]
    TooMany,
}

impl CommandLine {
    /// Reads words; an error tells as much as if the arguments of all verbs had been put together.
    pub(super) fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let words = flags::normalize(Self::command(), words);
        Self::try_parse_from(&words).or_else(|_| {
            let matches = whole().try_get_matches_from(&words)?;
            Self::from_arg_matches(&matches)
        })
    }
}

/// Returns all that can be typed, with the arguments of every verb, which are otherwise put together for one.
pub(super) fn whole() -> clap::Command {
    let mut command = CommandLine::command();
    command.build();
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_structs_do_not_contradict_each_other() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn scale_takes_a_service_and_a_count() {
        let scale: Scale = "web=3".parse().unwrap();
        assert_eq!(
            scale,
            Scale {
                service: "web".to_owned(),
                replicas: 3
            }
        );
        for wrong in ["web", "=3", "web=-1", "web=many"] {
            wrong.parse::<Scale>().unwrap_err();
        }
    }

    #[test]
    fn every_help_line_is_there_and_has_no_full_stop() {
        for verb in whole().get_subcommands() {
            let about = verb
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !about.is_empty() && !about.ends_with('.'),
                "{}: {about:?}",
                verb.get_name()
            );
            for argument in verb.get_arguments() {
                let help = argument
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    !help.is_empty() && !help.ends_with('.'),
                    "{} {}: {help:?}",
                    verb.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
