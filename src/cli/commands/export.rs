//! `export`: the files of a service's container as a tar archive.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::cli::terminal;
use crate::report::Rehearsal;

/// Write the files of a service's container as a tar archive
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Export the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The service whose container is exported
    #[arg(add = complete::service())]
    service: String,
}

/// Exports a container.
pub(in crate::cli) fn export(
    invocation: &Invocation,
    args: &ExportArgs,
) -> Result<ExitStatus, CommandError> {
    let services = [args.service.clone()];
    let (engine, target, observed) = invocation.look_and_stay(&services)?;
    let container = select::replica(&target, &observed, &args.service, args.index)?;
    if invocation.rehearsal() == Rehearsal::Yes {
        return Ok(ExitStatus::Done);
    }
    let to = match &args.output {
        Some(path) => {
            let path = invocation.environment.working_directory().join(path);
            let file = File::create(&path);
            let act = || format!("write `{}`", path.display());
            Some(
                file.map_err(|error| CommandError::cannot(act(), error))?
                    .into(),
            )
        }
        None if terminal::is_interactive() => {
            return Err(
                CommandError::usage("an archive is not written to a terminal")
                    .hint("name a file with `--output`, or redirect the output"),
            );
        }
        None => terminal::own_streams()?.stdout,
    };
    if let Some(to) = to {
        block_on(async { Ok(engine.export(&container.name, to).await?) })?;
    }
    Ok(ExitStatus::Done)
}
