//! `ls`: the projects that have containers on this machine.

use clap::Args;

use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::observed::{ProjectSummary, RunState};
use crate::report::{ProjectRow, write_projects};

/// List projects that run
#[derive(Debug, Args)]
pub(in crate::cli) struct LsArgs {
    /// List stopped projects too
    #[arg(short, long)]
    all: bool,

    /// List only projects whose name contains a text, as in `name=demo`
    #[arg(long, value_name = "PROPERTY=VALUE")]
    filter: Vec<String>,

    /// Write `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Write the names only
    #[arg(short, long)]
    quiet: bool,
}

/// Lists projects.
pub(in crate::cli) fn ls(
    invocation: &Invocation,
    args: &LsArgs,
) -> Result<ExitStatus, CommandError> {
    let wanted = names(&args.filter)?;
    let engine = invocation.engine()?;
    let mut projects = block_on(async { Ok(engine.projects().await?) })?;
    if !args.all {
        projects.iter_mut().for_each(forget_stopped);
        projects.retain(|project| !project.states.is_empty());
    }
    projects.retain(|project| {
        wanted.is_empty() || wanted.iter().any(|name| project.name.contains(name))
    });
    projects.sort_by(|a, b| a.name.cmp(&b.name));
    let mut output = invocation.stdout();
    let rows: Vec<ProjectRow> = projects.iter().map(ProjectRow::new).collect();
    if args.quiet {
        for row in &rows {
            output.line(&row.name)?;
        }
        return Ok(ExitStatus::Done);
    }
    match format::rows_with_fields(args.format.as_deref())? {
        Rows::Table => write_projects(&mut output, &rows)?,
        Rows::Json => format::write_json(&mut output, &rows)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}

fn forget_stopped(project: &mut ProjectSummary) {
    project.states.retain(|state, _| {
        matches!(
            state,
            RunState::Running | RunState::Paused | RunState::Restarting
        )
    });
}

/// Returns the texts of which a project's name must contain one.
fn names(filters: &[String]) -> Result<Vec<&str>, CommandError> {
    let name = |filter: &'_ String| {
        CommandError::usage(format!("`--filter {filter}` is not known"))
            .hint("the only filter is `name=TEXT`")
    };
    filters
        .iter()
        .map(|filter| filter.strip_prefix("name=").ok_or_else(|| name(filter)))
        .collect()
}
