//! `image history`: the steps that an image was made by.

use clap::Args;

use super::rows::Numbers;
use super::{failed, rows};
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::report::{Truncation, write_history};

/// Show the steps that an image was made by
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Show the history of this image
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Write `table`, `json`, or a template such as `{{.CreatedBy}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Write sizes and dates for people
    #[arg(short = 'H', long, value_name = "YES", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,

    /// Do not shorten what is shown
    #[arg(long)]
    no_trunc: bool,

    /// Write the ids only
    #[arg(short, long)]
    quiet: bool,
}

/// Shows the history of an image, the newest step first.
pub(super) fn history(
    invocation: &Invocation,
    args: &HistoryArgs,
) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let found = engine.images().lookup(&args.image).map_err(failed)?;
    let now = environment::now();
    let truncation = if args.no_trunc {
        Truncation::Full
    } else {
        Truncation::Short
    };
    let numbers = if args.human {
        Numbers::Human
    } else {
        Numbers::Exact
    };
    let rows = rows::of_history(&found.image, now, truncation, numbers);
    let mut output = invocation.stdout();
    if args.quiet {
        for row in &rows {
            output.line(&row.id)?;
        }
        return Ok(ExitStatus::Done);
    }
    match Rows::from_flag(args.format.as_deref())? {
        Rows::Table => write_history(&mut output, &rows)?,
        Rows::Json => format::write_rows(&mut output, &rows, None)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}
