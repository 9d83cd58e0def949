//! `version`: which consort this is.

use clap::Args;
use serde_json::json;

use crate::cli::args::OutputFormat;

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
