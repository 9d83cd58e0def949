//! `ps`: what is observed, as a table, as JSON or through a template.

use clap::{ArgAction, Args, ValueEnum};

/// List containers
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct PsArgs {
    /// List only the containers of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// List stopped containers too
    #[arg(short, long)]
    all: bool,

    /// List only containers with a property, such as `status=running`
    #[arg(long, value_name = "PROPERTY=VALUE")]
    filter: Option<String>,

    /// Write `table`, `json`, or a template such as `{{.Name}}: {{.Status}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show long values in full
    #[arg(long)]
    no_trunc: bool,

    /// List containers of services that the Compose file no longer has
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    orphans: bool,

    /// Write the ids only
    #[arg(short, long)]
    quiet: bool,

    /// Write the names of the services only
    #[arg(long = "services", id = "only_services")]
    only_services: bool,

    /// List only containers in this state; repeat it for several
    #[arg(long, value_name = "STATE")]
    status: Vec<StateChoice>,
}
