//! `version`: which consort this is.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;

/// Show the version of consort
#[derive(Debug, Args)]
pub(in crate::cli) struct VersionArgs {
    /// Write in this format
    #[arg(short, long, value_name = "FORMAT", default_value = "pretty")]
    format: VersionFormat,

    /// Write the number only
    #[arg(long)]
    short: bool,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionFormat {
    /// A sentence
    Pretty,
    /// JSON for programs
    Json,
}

/// Writes the version.
pub(in crate::cli) fn version(
    invocation: &Invocation,
    args: &VersionArgs,
) -> Result<ExitStatus, CommandError> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let line = match args.format {
        _ if args.short => VERSION.to_owned(),
        VersionFormat::Pretty => format!("consort version {VERSION}"),
        VersionFormat::Json => json!({ "version": VERSION }).to_string(),
    };
    invocation.stdout().line(&line)?;
    Ok(ExitStatus::Done)
}
