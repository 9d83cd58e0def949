//! `rm`: stopped containers go away.

use clap::Args;

/// Remove stopped containers
#[derive(Debug, Args)]
pub(in crate::cli) struct RmArgs {
    /// Remove only the containers of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Do not ask before removing
    #[arg(short, long)]
    force: bool,

    /// Stop the containers first
    #[arg(short, long)]
    stop: bool,

    /// Remove the anonymous volumes of the containers too
    #[arg(short, long)]
    volumes: bool,
}
