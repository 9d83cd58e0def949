//! `plan`: what `up` would do, and why, without doing it.

use clap::Args;

use crate::cli::args::Scale;
use crate::cli::choices::PlanFormat;
use crate::cli::complete;
use crate::cli::desire::{self, PullChoice};
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::work;
use crate::plan::{self, Dependencies, OrphanPolicy, Recreate, UpOptions};
use crate::report::{PlanDocument, write_plan};

/// Show what `up` would do, and why
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing to do, 1 an error, 2 there are changes.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct PlanArgs {
    /// Plan only these services and what they depend on
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: PlanFormat,

    /// Run this many containers of a service, whatever the Compose file says
    #[arg(long, value_name = "SERVICE=COUNT")]
    scale: Vec<Scale>,

    /// Recreate containers even if nothing about them has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers that exist as they are, even if something about them has changed
    #[arg(long)]
    no_recreate: bool,

    /// Leave out the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,

    /// Remove containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Fetch images before starting
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,
}

/// Shows the plan of `up`.
pub(in crate::cli) fn plan(
    invocation: &Invocation,
    args: &PlanArgs,
) -> Result<ExitStatus, CommandError> {
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let options = options(args, orphans)?;
    let desired = desire::state(invocation, &args.services, &args.scale)?;
    let engine = invocation.engine()?;
    let scope = desire::scope(&desired, options.pull);
    let observed = block_on(async { Ok(engine.observe(&scope).await?) })?;
    let plan = plan::up(&desired, &observed, &options)?;
    let mut output = invocation.stdout();
    match args.format {
        PlanFormat::Json => format::write_json(&mut output, &PlanDocument::new(&plan))?,
        PlanFormat::Text => {
            work::show_warnings(invocation, &plan.warnings)?;
            write_plan(&mut output, &plan)?;
        }
    }
    Ok(if plan.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Changes
    })
}

fn options(args: &PlanArgs, orphans: OrphanPolicy) -> Result<UpOptions, CommandError> {
    Ok(UpOptions {
        services: desire::services(&args.services)?,
        dependencies: if args.no_deps {
            Dependencies::Skip
        } else {
            Dependencies::Include
        },
        recreate: match () {
            () if args.force_recreate => Recreate::Force,
            () if args.no_recreate => Recreate::Never,
            () => Recreate::Diverged,
        },
        orphans,
        pull: args.pull.map(Into::into),
        ..UpOptions::plain()
    })
}
