//! `start`: containers that exist run again.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan::{self, StartOptions, WaitFor};

/// Start containers that exist
#[derive(Debug, Args)]
pub(in crate::cli) struct StartArgs {
    /// Start only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Return when the services are running or healthy
    #[arg(long)]
    wait: bool,

    /// Fail when `--wait` takes longer than this
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<u32>,
}

/// Starts containers.
pub(in crate::cli) fn start(
    invocation: &Invocation,
    args: &StartArgs,
) -> Result<ExitStatus, CommandError> {
    let timeout = args.wait_timeout.map(desire::seconds);
    let options = StartOptions {
        services: desire::services(&args.services)?,
        wait: if args.wait {
            WaitFor::Ready { timeout }
        } else {
            WaitFor::Started
        },
    };
    invocation.change("start", &args.services, &|target, observed| {
        Ok(plan::start(
            target.desired(invocation.source())?.as_ref(),
            observed,
            &options,
        ))
    })
}
