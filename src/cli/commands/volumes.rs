//! `volumes`: the named volumes of the project.

use clap::Args;

/// List the project's volumes
#[derive(Debug, Args)]
pub(in crate::cli) struct VolumesArgs {
    /// List only the volumes of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Write `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Write the names only
    #[arg(short, long)]
    quiet: bool,
}
