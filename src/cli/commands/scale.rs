//! `scale`: the line of `up` for a number of replicas.

use clap::Args;

use crate::cli::args::Scale;

/// Run a number of containers of a service
#[derive(Debug, Args)]
pub(in crate::cli) struct ScaleArgs {
    /// The services and how many containers each of them shall have
    #[arg(value_name = "SERVICE=COUNT", required = true)]
    counts: Vec<Scale>,

    /// Leave out the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,
}
