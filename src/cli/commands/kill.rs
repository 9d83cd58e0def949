//! `kill`: a signal for every container.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::plan;
use crate::value::Signal;

/// Send a signal to containers
#[derive(Debug, Args)]
pub(in crate::cli) struct KillArgs {
    /// Signal only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Send this signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: Signal,
}

/// Sends a signal.
pub(in crate::cli) fn kill(
    invocation: &Invocation,
    args: &KillArgs,
) -> Result<ExitStatus, CommandError> {
    let services = desire::services(&args.services)?;
    invocation.change("kill", &args.services, &|_, observed| {
        Ok(plan::kill(observed, &services, args.signal))
    })
}
