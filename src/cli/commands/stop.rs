//! `stop`: containers end and stay.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan::{self, Dependencies, StopOptions};

/// Stop containers without removing them
#[derive(Debug, Args)]
pub(in crate::cli) struct StopArgs {
    /// Stop only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
}

/// Stops containers.
pub(in crate::cli) fn stop(
    invocation: &Invocation,
    args: &StopArgs,
) -> Result<ExitStatus, CommandError> {
    let options = StopOptions {
        services: desire::services(&args.services)?,
        grace: args.timeout.map(desire::seconds),
        dependents: Dependencies::Skip,
    };
    invocation.change("stop", &args.services, &|_, observed| {
        Ok(plan::stop(observed, &options))
    })
}
