//! `pause`: processes stand still.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan;

/// Suspend the processes of containers
#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// Pause only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,
}

/// Suspends containers.
pub(in crate::cli) fn pause(
    invocation: &Invocation,
    args: &PauseArgs,
) -> Result<ExitStatus, CommandError> {
    let services = desire::services(&args.services)?;
    invocation.change("pause", &args.services, &|_, observed| {
        Ok(plan::pause(observed, &services))
    })
}
