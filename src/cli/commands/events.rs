//! `events`: what happens to the project's containers, as it happens.

use clap::Args;

/// Show what happens to containers, as it happens
#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArgs {
    /// Show only the events of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Write one JSON object on each line
    #[arg(long)]
    json: bool,

    /// Begin with the events since a time (`2026-01-02T13:23:37Z`) or for a duration (`42m`)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// End at a time (`2026-01-02T13:23:37Z`) or a duration ago (`42m`)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}
