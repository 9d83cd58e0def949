//! `pause`: processes stand still.

use clap::Args;

/// Suspend the processes of containers
#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// Pause only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}
