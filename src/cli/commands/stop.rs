//! `stop`: containers end and stay.

use clap::Args;

/// Stop containers without removing them
#[derive(Debug, Args)]
pub(in crate::cli) struct StopArgs {
    /// Stop only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}
