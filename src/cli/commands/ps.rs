//! `ps`: what is observed, as a table, as JSON or through a template.

use clap::{ArgAction, Args};

use crate::cli::choices::StateChoice;
use crate::cli::complete;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, Rows};
use crate::cli::invocation::{Invocation, Target};
use crate::cli::select;
use crate::observed::{ObservedContainer, ObservedState, OneOff, RunState};
use crate::report::{ContainerRow, Truncation, write_containers};

/// List containers
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct PsArgs {
    /// List only the containers of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
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

/// Lists containers.
pub(in crate::cli) fn ps(
    invocation: &Invocation,
    args: &PsArgs,
) -> Result<ExitStatus, CommandError> {
    let states = states(args)?;
    let (target, observed) = invocation.look(&args.services)?;
    let containers = chosen(args, &states, &target, &observed)?;
    let mut output = invocation.stdout();
    if args.quiet {
        for container in containers {
            output.line(&container.id)?;
        }
        return Ok(ExitStatus::Done);
    }
    if args.only_services {
        let mut names: Vec<&str> = containers.iter().map(|it| it.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            output.line(name)?;
        }
        return Ok(ExitStatus::Done);
    }
    let truncation = if args.no_trunc {
        Truncation::Full
    } else {
        Truncation::Short
    };
    let now = environment::now();
    let rows: Vec<ContainerRow> = containers
        .into_iter()
        .map(|container| ContainerRow::new(container, &target.name, truncation, now))
        .collect();
    match Rows::from_flag(args.format.as_deref())? {
        Rows::Table => write_containers(&mut output, &rows)?,
        Rows::Json => format::write_rows(&mut output, &rows, None)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}

/// Returns the containers to list, sorted by name.
fn chosen<'state>(
    args: &PsArgs,
    states: &[RunState],
    target: &Target,
    observed: &'state ObservedState,
) -> Result<Vec<&'state ObservedContainer>, CommandError> {
    let mut containers = select::containers(target, observed, &args.services)?;
    containers.retain(|container| {
        let is_wanted = if states.is_empty() {
            args.all || (container.is_alive() && container.oneoff != OneOff::Hook)
        } else {
            states.contains(&container.state)
        };
        let is_orphan = target
            .project
            .as_ref()
            .is_some_and(|project| !project.services.contains_key(container.service.as_str()));
        is_wanted
            && !container.is_spent()
            && (args.orphans || !is_orphan || !args.services.is_empty())
    });
    containers.sort_by_key(|container| &container.name);
    Ok(containers)
}

/// Returns the states that `--status` and `--filter` ask for; none means all of them.
fn states(args: &PsArgs) -> Result<Vec<RunState>, CommandError> {
    let mut states: Vec<RunState> = args.status.iter().map(|&state| state.into()).collect();
    if let Some(filter) = &args.filter {
        let state = filter.strip_prefix("status=").ok_or_else(|| {
            CommandError::usage(format!("`--filter {filter}` is not known"))
                .hint("the only filter is `status=STATE`")
        })?;
        let state = <StateChoice as clap::ValueEnum>::from_str(state, true).map_err(|_| {
            CommandError::usage(format!("`{state}` is no state of a container"))
                .hint("`consort ps --help` lists the states of `--status`")
        })?;
        states.push(state.into());
    }
    Ok(states)
}
