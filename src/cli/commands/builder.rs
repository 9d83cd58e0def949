//! `builder`: what builds keep so that the next one has less to do.

use std::io::{BufRead as _, IsTerminal as _};

use clap::{Args, Subcommand};

use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::report::size;

/// Manage what builds keep
#[derive(Debug, Args)]
pub(in crate::cli) struct BuilderArgs {
    #[command(subcommand)]
    verb: BuilderVerb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum BuilderVerb {
    Prune(PruneArgs),
}

/// Remove the build cache
#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove all of it; as Docker has it, there are no internal parts here
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Does what is asked.
pub(in crate::cli) fn builder(
    invocation: &Invocation,
    args: &BuilderArgs,
) -> Result<ExitStatus, CommandError> {
    match &args.verb {
        BuilderVerb::Prune(args) => prune(invocation, args),
    }
}

/// Removes remembered steps, caches of commands, and the layers that only they needed.
fn prune(invocation: &Invocation, args: &PruneArgs) -> Result<ExitStatus, CommandError> {
    if !args.force && !confirmed(invocation)? {
        return Ok(ExitStatus::Done);
    }
    let engine = invocation.embedded()?;
    let failed = |error| CommandError::room(ExitStatus::Failed, error);
    let _count = engine.images().forget_steps().map_err(failed)?;
    let caches = engine.images().remove_caches().map_err(failed)?;
    let freed = engine.prune_images()?;
    let mut output = invocation.stdout();
    output.line(&format!("Total:\t{}", size(caches + freed.bytes)))?;
    Ok(ExitStatus::Done)
}

fn confirmed(invocation: &Invocation) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        let error = CommandError::usage("this would remove the build cache");
        return Err(error.hint("`--force` says that it shall"));
    }
    let mut output = invocation.stderr();
    output.bytes(b"This will remove the build cache. Go on? [y/N] ")?;
    output.flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let _count = read.map_err(|error| CommandError::cannot("read the answer", error))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
