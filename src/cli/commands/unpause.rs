//! `unpause`: processes go on.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan;

/// Resume the processes of suspended containers
#[derive(Debug, Args)]
pub(in crate::cli) struct UnpauseArgs {
    /// Unpause only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,
}

/// Resumes containers.
pub(in crate::cli) fn unpause(
    invocation: &Invocation,
    args: &UnpauseArgs,
) -> Result<ExitStatus, CommandError> {
    let services = desire::services(&args.services)?;
    invocation.change("unpause", &args.services, &|_, observed| {
        Ok(plan::unpause(observed, &services))
    })
}
