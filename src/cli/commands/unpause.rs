//! `unpause`: processes go on.

use clap::Args;

/// Resume the processes of suspended containers
#[derive(Debug, Args)]
pub(in crate::cli) struct UnpauseArgs {
    /// Unpause only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}
