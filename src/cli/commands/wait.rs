//! `wait`: until containers end.

use clap::Args;

/// Wait until the containers of services have stopped
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// The services to wait for
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,

    /// Bring the whole project down when the first of them has stopped
    #[arg(long)]
    down_project: bool,
}
