//! `stats`: what containers use of the machine.

use clap::Args;

/// Show what containers use of processor, memory, network and disk
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct StatsArgs {
    /// Show only this service
    #[arg(value_name = "SERVICE")]
    service: Option<String>,

    /// Show stopped containers too
    #[arg(short, long)]
    all: bool,

    /// Write `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show one reading and return
    #[arg(long)]
    no_stream: bool,

    /// Show long values in full
    #[arg(long)]
    no_trunc: bool,
}
