//! `kill`: a signal for every container.

use clap::Args;

/// Send a signal to containers
#[derive(Debug, Args)]
pub(in crate::cli) struct KillArgs {
    /// Signal only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Send this signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: Signal,

    /// Remove containers of services that the Compose file no longer has [env: COMPOSE_REMOVE_ORPHANS]
    #[arg(long)]
    remove_orphans: bool,
}
