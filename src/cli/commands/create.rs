//! `create`: the line of `up`, stopping before anything starts.

use clap::Args;

use crate::cli::args::Scale;

/// Create containers without starting them
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct CreateArgs {
    /// Create only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Recreate containers even if nothing about them has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers that exist as they are, even if something about them has changed
    #[arg(long)]
    no_recreate: bool,

    /// Fetch images before creating
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,

    /// Do not show the progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Remove containers of services that the Compose file no longer has [env: COMPOSE_REMOVE_ORPHANS]
    #[arg(long)]
    remove_orphans: bool,

    /// Create this many containers of a service, whatever the Compose file says
    #[arg(long, value_name = "SERVICE=COUNT")]
    scale: Vec<Scale>,

    /// Answer yes to every question
    #[arg(short, long)]
    yes: bool,
}
