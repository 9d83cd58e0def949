//! `restart`: containers end and run again.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan::{self, Dependencies, StopOptions};

/// Stop containers and start them again
#[derive(Debug, Args)]
pub(in crate::cli) struct RestartArgs {
    /// Restart only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Leave out the services that depend on the named ones
    #[arg(long)]
    no_deps: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,
}

/// Restarts containers.
pub(in crate::cli) fn restart(
    invocation: &Invocation,
    args: &RestartArgs,
) -> Result<ExitStatus, CommandError> {
    let options = StopOptions {
        services: desire::services(&args.services)?,
        grace: args.timeout.map(desire::seconds),
        dependents: if args.no_deps {
            Dependencies::Skip
        } else {
            Dependencies::Include
        },
    };
    invocation.change("restart", &args.services, &|target, observed| {
        Ok(plan::restart(
            target.desired(invocation.source())?.as_ref(),
            observed,
            &options,
        ))
    })
}
