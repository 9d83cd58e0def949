//! `create`: the line of `up`, stopping before anything starts.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire::{self, PullChoice};
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::work::{Unchanged, Work};
use crate::plan::{self, OrphanPolicy, Recreate, StartMode, UpOptions};

use crate::cli::args::Scale;

/// Create containers without starting them
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct CreateArgs {
    /// Create only these services and what they depend on
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Recreate containers even if nothing about them has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers that exist as they are, even if something about them has changed
    #[arg(long)]
    no_recreate: bool,

    /// Build images before creating, also those that are here
    #[arg(long, conflicts_with = "no_build")]
    build: bool,

    /// Do not build images that are missing
    #[arg(long)]
    no_build: bool,

    /// Fetch images before creating
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,

    /// Do not show the progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Remove containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Create this many containers of a service, whatever the Compose file says
    #[arg(long, value_name = "SERVICE=COUNT", add = complete::scaled_service())]
    scale: Vec<Scale>,

    /// Answer yes to every question
    #[arg(short, long)]
    yes: bool,
}

/// Creates containers.
pub(in crate::cli) fn create(
    invocation: &Invocation,
    args: &CreateArgs,
) -> Result<ExitStatus, CommandError> {
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let options = options(args, orphans)?;
    let desired = desire::state(invocation, &args.services, &args.scale)?;
    let scope = desire::scope(&desired, options.pull);
    let engine = invocation.engine()?;
    let mut work = Work::new(invocation, engine.as_ref(), scope, "create");
    work.yes = Flag::from(args.yes);
    let meant = desire::meant(&desired, &options.services, options.dependencies);
    work.unchanged = Unchanged::Shown(meant);
    work.quiet_pull = Flag::from(args.quiet_pull);
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

fn options(args: &CreateArgs, orphans: OrphanPolicy) -> Result<UpOptions, CommandError> {
    Ok(UpOptions {
        services: desire::services(&args.services)?,
        recreate: match () {
            () if args.force_recreate => Recreate::Force,
            () if args.no_recreate => Recreate::Never,
            () => Recreate::Diverged,
        },
        orphans,
        start: StartMode::CreateOnly,
        pull: args.pull.map(Into::into),
        build: desire::builds(Flag::from(args.build), Flag::from(args.no_build)),
        ..UpOptions::plain()
    })
}
