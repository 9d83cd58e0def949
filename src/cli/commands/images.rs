//! `images`: what the project's containers were made from.

use clap::Args;

/// List the images of the project's containers
#[derive(Debug, Args)]
pub(in crate::cli) struct ImagesArgs {
    /// List only the images of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: TableFormat,

    /// Write the ids only
    #[arg(short, long)]
    quiet: bool,
}
