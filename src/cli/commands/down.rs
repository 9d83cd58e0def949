//! `down`: the plan towards nothing.

use clap::{Args, ValueEnum};

/// Stop and remove containers and networks
#[derive(Debug, Args)]
pub(in crate::cli) struct DownArgs {
    /// Stop and remove only the containers of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Remove the project's named volumes and the anonymous volumes of its containers, with their data
    #[arg(short, long)]
    volumes: bool,

    /// Remove containers of services that the Compose file no longer has [env: COMPOSE_REMOVE_ORPHANS]
    #[arg(long)]
    remove_orphans: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// Remove the images of the services
    #[arg(long, value_name = "WHICH")]
    rmi: Option<RemoveImages>,
}

/// The values of `--rmi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RemoveImages {
    /// Images that have no name of their own
    Local,
    /// All images that the services use
    All,
}
