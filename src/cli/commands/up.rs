//! `up`: the whole line, from files to running containers, and then their output until they stop.

use std::time::Duration;

use clap::Args;

use crate::cli::args::Scale;

/// Create and start containers
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct UpArgs {
    /// Start only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Return when the containers run, instead of showing their output
    #[arg(short, long, conflicts_with_all = ["abort_on_container_exit", "abort_on_container_failure", "attach", "attach_dependencies", "exit_code_from"])]
    detach: bool,

    /// Return when the services are running or healthy; implies `--detach`
    #[arg(long, conflicts_with_all = ["abort_on_container_exit", "abort_on_container_failure", "attach", "attach_dependencies", "exit_code_from", "no_start"])]
    wait: bool,

    /// Fail when `--wait` takes longer than this
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u32>,

    /// Create the containers and do not start them
    #[arg(long)]
    no_start: bool,

    /// Run this many containers of a service, whatever the Compose file says
    #[arg(long, value_name = "SERVICE=COUNT")]
    scale: Vec<Scale>,

    /// Recreate containers even if nothing about them has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers that exist as they are, even if something about them has changed
    #[arg(long)]
    no_recreate: bool,

    /// Recreate also the containers of the services that the named ones depend on
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,

    /// Give recreated containers new anonymous volumes instead of those they had
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    renew_anon_volumes: bool,

    /// Leave out the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,

    /// Remove containers of services that the Compose file no longer has [env: COMPOSE_REMOVE_ORPHANS]
    #[arg(long)]
    remove_orphans: bool,

    /// Fetch images before starting
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,

    /// Do not show the progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Stop all containers as soon as one of them stops
    #[arg(long, conflicts_with = "abort_on_container_failure")]
    abort_on_container_exit: bool,

    /// Stop all containers as soon as one of them fails
    #[arg(long)]
    abort_on_container_failure: bool,

    /// Return the exit code of this service's container; implies `--abort-on-container-exit`
    #[arg(long, value_name = "SERVICE")]
    exit_code_from: Option<String>,

    /// Show the output of these services only
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    attach: Vec<String>,

    /// Do not show the output of these services
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,

    /// Show also the output of the services that the named ones depend on
    #[arg(long)]
    attach_dependencies: bool,

    /// Show output without colours
    #[arg(long)]
    no_color: bool,

    /// Show output without the names of the containers
    #[arg(long)]
    no_log_prefix: bool,

    /// Show the time of each line of output
    #[arg(long)]
    timestamps: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// Answer yes to every question
    #[arg(short, long)]
    yes: bool,
}
