//! `volumes`: the named volumes of the project.

use std::collections::BTreeSet;

use clap::Args;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::report::{VolumeRow, write_volumes};
use crate::value::VolumeName;

/// List the project's volumes
#[derive(Debug, Args)]
pub(in crate::cli) struct VolumesArgs {
    /// List only the volumes of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Write `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Write the names only
    #[arg(short, long)]
    quiet: bool,
}

/// Lists volumes.
pub(in crate::cli) fn volumes(
    invocation: &Invocation,
    args: &VolumesArgs,
) -> Result<ExitStatus, CommandError> {
    let (target, observed) = invocation.look(&args.services)?;
    let containers = select::containers(&target, &observed, &args.services)?;
    let used: BTreeSet<&VolumeName> = containers.iter().flat_map(|it| &it.volumes).collect();
    let rows: Vec<VolumeRow> = observed
        .volumes
        .values()
        // Those that a container got without a name are listed nowhere, as with Docker.
        .filter(|volume| !volume.key.is_empty())
        .filter(|volume| args.services.is_empty() || used.contains(&volume.name))
        .map(VolumeRow::new)
        .collect();
    let mut output = invocation.stdout();
    if args.quiet {
        for row in &rows {
            output.line(&row.name)?;
        }
        return Ok(ExitStatus::Done);
    }
    match Rows::from_flag(args.format.as_deref())? {
        Rows::Table => write_volumes(&mut output, &rows)?,
        Rows::Json => format::write_rows(&mut output, &rows, None)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}
