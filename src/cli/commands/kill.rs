//! `kill`: a signal for every container.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::{Flag, Invocation, Target};
use crate::observed::ObservedState;
use crate::plan::{self, OrphanPolicy};
use crate::value::Signal;

/// Send a signal to containers
#[derive(Debug, Args)]
pub(in crate::cli) struct KillArgs {
    /// Signal only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Signal also containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Send this signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL", add = complete::signal())]
    signal: Signal,
}

/// Sends a signal.
pub(in crate::cli) fn kill(
    invocation: &Invocation,
    args: &KillArgs,
) -> Result<ExitStatus, CommandError> {
    let services = desire::services(&args.services)?;
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let planner = |_: &Target, observed: &ObservedState| {
        let plan = plan::kill(observed, &services, args.signal);
        if plan.is_empty() {
            invocation.stderr().line("no container to kill")?;
        }
        Ok(plan)
    };
    if orphans == OrphanPolicy::Remove {
        invocation.change_any("kill", &args.services, &planner)
    } else {
        invocation.change("kill", &args.services, &planner)
    }
}
