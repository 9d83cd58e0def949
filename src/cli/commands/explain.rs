//! `explain`: where the values of the project come from.

use clap::{Args, ValueEnum};

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::pretty_json;
use crate::cli::invocation::Invocation;
use crate::compose::explain;

/// Tell where a value comes from: the place that won, what it shadows, the variables in it
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The value, such as `web.environment.LOG_LEVEL` or `networks.default.name`; `.` for all
    #[arg(value_name = "PATH", default_value = ".", add = complete::path())]
    path: String,

    /// Write in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ExplainFormat,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExplainFormat {
    /// For people
    Text,
    /// JSON for programs
    Json,
}

/// Writes where the values at a path come from.
pub(in crate::cli) fn explain(
    invocation: &Invocation,
    args: &ExplainArgs,
) -> Result<ExitStatus, CommandError> {
    let project = invocation.load(&[])?;
    let found = explain::explain(&project, &args.path).map_err(|error| {
        let hint = error
            .nearest
            .as_ref()
            .map(|near| format!("did you mean `{near}`?"));
        let refused = CommandError::room(ExitStatus::Failed, error);
        match hint {
            Some(hint) => refused.hint(hint),
            None => refused.hint("`consort explain .` lists every path"),
        }
    })?;
    let text = match args.format {
        ExplainFormat::Text => found.iter().map(explain::Explanation::to_text).collect(),
        ExplainFormat::Json => {
            let documents = found.iter().map(explain::Explanation::document);
            pretty_json(&documents.collect::<Vec<_>>())?
        }
    };
    invocation.stdout().bytes(text.as_bytes())?;
    Ok(ExitStatus::Done)
}
