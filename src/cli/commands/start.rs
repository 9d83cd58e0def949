//! `start`: containers that exist run again.

use clap::Args;

/// Start containers that exist
#[derive(Debug, Args)]
pub(in crate::cli) struct StartArgs {
    /// Start only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Return when the services are running or healthy
    #[arg(long)]
    wait: bool,

    /// Fail when `--wait` takes longer than this
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<u32>,
}
