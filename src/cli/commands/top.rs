//! `top`: the processes in containers.

use clap::Args;

/// Show the processes of containers
#[derive(Debug, Args)]
pub(in crate::cli) struct TopArgs {
    /// Show only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}
