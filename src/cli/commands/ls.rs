//! `ls`: the projects that have containers on this machine.

use clap::Args;

/// List projects that run
#[derive(Debug, Args)]
pub(in crate::cli) struct LsArgs {
    /// List stopped projects too
    #[arg(short, long)]
    all: bool,

    /// List only projects whose name contains a text, as in `name=demo`
    #[arg(long, value_name = "PROPERTY=VALUE")]
    filter: Vec<String>,

    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: TableFormat,

    /// Write the names only
    #[arg(short, long)]
    quiet: bool,
}
