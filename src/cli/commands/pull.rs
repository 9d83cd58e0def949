//! `pull`: a plan of images only.

use clap::{Args, ValueEnum};

/// Fetch the images of services
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct PullArgs {
    /// Fetch only the images of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Leave out images that a `build` section describes
    #[arg(long)]
    ignore_buildable: bool,

    /// Go on and succeed when an image cannot be fetched
    #[arg(long)]
    ignore_pull_failures: bool,

    /// Fetch the images of the services that the named ones depend on too
    #[arg(long)]
    include_deps: bool,

    /// Fetch what is missing only, or look for newer images too
    #[arg(long, value_name = "POLICY")]
    policy: Option<PolicyChoice>,

    /// Do not show progress
    #[arg(short, long)]
    quiet: bool,
}
