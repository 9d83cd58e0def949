//! `rm`: stopped containers go away.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::cli::{select, work};
use crate::plan::{self, Dependencies, RemoveOptions, StopOptions, Volumes};
use crate::report::Rehearsal;

/// Remove stopped containers
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct RmArgs {
    /// Remove only the containers of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Remove one-off containers too, as is done anyway
    #[arg(short, long, hide = true)]
    all: bool,

    /// Do not ask before removing
    #[arg(short, long)]
    force: bool,

    /// Stop the containers first
    #[arg(short, long)]
    stop: bool,

    /// Remove the anonymous volumes of the containers too
    #[arg(short, long)]
    volumes: bool,
}

/// Removes containers.
pub(in crate::cli) fn rm(
    invocation: &Invocation,
    args: &RmArgs,
) -> Result<ExitStatus, CommandError> {
    let services = desire::services(&args.services)?;
    if !agrees(invocation, args)? {
        return Ok(ExitStatus::Done);
    }
    let stop = args.stop.then(|| StopOptions {
        services: services.clone(),
        grace: None,
        dependents: Dependencies::Skip,
    });
    let volumes = if args.volumes {
        Volumes::Remove
    } else {
        Volumes::Keep
    };
    invocation.change("rm", &args.services, &|target, observed| {
        let options = RemoveOptions {
            services: services.clone(),
            stop: stop.clone(),
            volumes,
            external: target.external().volumes,
        };
        Ok(plan::remove(observed, &options))
    })
}

/// Says which containers go, and asks whether they shall; nobody to answer means no.
fn agrees(invocation: &Invocation, args: &RmArgs) -> Result<bool, CommandError> {
    let (target, observed) = invocation.look(&args.services)?;
    let mut containers = select::meant(&target, &observed, &args.services)?;
    containers.retain(|container| args.stop || !container.is_alive());
    if containers.is_empty() {
        invocation.stderr().line("No stopped containers")?;
        return Ok(false);
    }
    if invocation.rehearsal() == Rehearsal::Yes {
        return Ok(true);
    }
    let names: Vec<&str> = containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    let mut output = invocation.stdout();
    output.line(&format!("Going to remove {}", names.join(", ")))?;
    if args.force {
        return Ok(true);
    }
    work::ask(&mut output, "Are you sure?")
}
