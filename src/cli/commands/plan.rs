//! `plan`: what `up` would do, and why, without doing it.

use clap::{Args, ValueEnum};

/// Show what `up` would do, and why
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing to do, 1 an error, 2 there are changes.")]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct PlanArgs {
    /// Plan only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}
