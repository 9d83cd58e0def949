//! `scale`: the line of `up` for a number of replicas.

use clap::Args;

use crate::cli::args::Scale;
use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::work::{Unchanged, Work};
use crate::plan::{self, Dependencies, UpOptions};

/// Run a number of containers of a service
#[derive(Debug, Args)]
pub(in crate::cli) struct ScaleArgs {
    /// The services and how many containers each of them shall have
    #[arg(value_name = "SERVICE=COUNT", required = true, add = complete::scaled_service())]
    counts: Vec<Scale>,

    /// Leave out the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,
}

/// Brings services to a number of containers.
pub(in crate::cli) fn scale(
    invocation: &Invocation,
    args: &ScaleArgs,
) -> Result<ExitStatus, CommandError> {
    let services: Vec<String> = args
        .counts
        .iter()
        .map(|wish| wish.service.clone())
        .collect();
    let desired = desire::state(invocation, &services, &args.counts)?;
    let options = UpOptions {
        services: desire::services(&services)?,
        dependencies: if args.no_deps {
            Dependencies::Skip
        } else {
            Dependencies::Include
        },
        orphans: invocation.orphans(Flag::Unset)?,
        ..UpOptions::plain()
    };
    let engine = invocation.engine()?;
    let scope = desire::scope(&desired, None);
    let mut work = Work::new(invocation, engine.as_ref(), scope, "scale");
    work.unchanged = Unchanged::Shown(desire::meant(
        &desired,
        &options.services,
        options.dependencies,
    ));
    block_on(work.carry_out(&|observed, diverged_volumes| {
        Ok(plan::up(
            &desired,
            observed,
            &UpOptions {
                diverged_volumes,
                ..options.clone()
            },
        )?)
    }))?;
    Ok(ExitStatus::Done)
}
