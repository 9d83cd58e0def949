//! `down`: the plan towards nothing.

use clap::{Args, ValueEnum};

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Flag, Invocation, Target};
use crate::cli::work::Work;
use crate::desired::{self, DesiredState};
use crate::observed::Scope;
use crate::plan::{self, DownOptions, Volumes};
use crate::report::Rehearsal;

/// Stop and remove containers and networks
#[derive(Debug, Args)]
pub(in crate::cli) struct DownArgs {
    /// Stop and remove only the containers of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Remove the project's named volumes and the anonymous volumes of its containers, with their data
    #[arg(short, long)]
    volumes: bool,

    /// Remove containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,

    /// Remove the images of the services
    #[arg(long, value_name = "WHICH")]
    rmi: Option<RemoveImages>,
}

/// The values of `--rmi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RemoveImages {
    /// Images that have no name of their own
    Local,
    /// All images that the services use
    All,
}

impl From<RemoveImages> for plan::RemoveImages {
    fn from(choice: RemoveImages) -> Self {
        match choice {
            RemoveImages::Local => Self::Local,
            RemoveImages::All => Self::All,
        }
    }
}

/// Takes a project down.
pub(in crate::cli) fn down(
    invocation: &Invocation,
    args: &DownArgs,
) -> Result<ExitStatus, CommandError> {
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let target = invocation.target(&args.services)?;
    let desired = wanted(invocation, &target, args.rmi)?;
    let options = DownOptions {
        services: desire::services(&args.services)?,
        orphans,
        volumes: if args.volumes {
            Volumes::Remove
        } else {
            Volumes::Keep
        },
        images: args.rmi.map_or(plan::RemoveImages::None, Into::into),
        stop_grace: args.timeout.map(desire::seconds),
    };
    let engine = invocation.engine()?;
    let scope = match &desired {
        Some(desired) => desire::scope(desired, None),
        None => Scope::project(target.name.clone()),
    };
    let work = Work::new(invocation, engine.as_ref(), scope, "down");
    block_on(work.carry_out(&|observed, _| {
        let plan = plan::down(desired.as_ref(), observed, &options);
        if target.project.is_none() && plan.is_empty() {
            invocation.warn(&format!("nothing of project `{}` is here", target.name))?;
        }
        Ok(plan)
    }))?;
    if args.volumes && invocation.rehearsal() == Rehearsal::No {
        block_on(async { Ok(engine.forget(&target.name).await?) })?;
    }
    Ok(ExitStatus::Done)
}

/// Returns what the files want. Files that cannot be made exact any more, because a secret's file is gone, still say
/// which services there are and what is external: enough to take the project down, but not to find its images.
fn wanted(
    invocation: &Invocation,
    target: &Target,
    rmi: Option<RemoveImages>,
) -> Result<Option<DesiredState>, CommandError> {
    let Some(project) = &target.project else {
        return Ok(None);
    };
    match desire::expand(project, &[], invocation.source()) {
        Ok(desired) => Ok(Some(desired)),
        Err(error) if rmi.is_some() => Err(error),
        Err(_) => Ok(Some(desired::outline(project, target.name.clone()))),
    }
}
