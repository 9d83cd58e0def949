//! `restart`: containers end and run again.

use clap::Args;

/// Stop containers and start them again
#[derive(Debug, Args)]
pub(in crate::cli) struct RestartArgs {
    /// Restart only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Leave out the services that depend on the named ones
    #[arg(long)]
    no_deps: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}
