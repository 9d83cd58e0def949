//! `image prune`: images that have no name, or that nothing uses, from the disk.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;

use super::failed;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::cli::time;
use crate::report::size;
use crate::runtime::image::{Match, StoredImage};

/// Remove images that nothing needs
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Remove all images that no container was made from, not only those without a name
    #[arg(short, long)]
    all: bool,

    /// Remove only what fits: `until=TIME`, `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,

    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Removes images and says how much room that made.
pub(super) fn prune(invocation: &Invocation, args: &PruneArgs) -> Result<ExitStatus, CommandError> {
    if !args.force && !confirmed(invocation, args)? {
        return Ok(ExitStatus::Done);
    }
    let engine = invocation.embedded()?;
    let mut output = invocation.stdout();
    let mut deleted = Vec::new();
    for image in engine.images().images().map_err(failed)? {
        let is_wanted = args.all || image.names.is_empty();
        if !is_wanted || !passes(&image, args)? || !engine.containers_of(&image)?.is_empty() {
            continue;
        }
        let found = Match { image, name: None };
        let removed = engine.images().untag(&found).map_err(failed)?;
        let names = removed.untagged.iter();
        deleted.extend(names.map(|name| format!("untagged: {name}")));
        deleted.extend(removed.deleted.map(|id| format!("deleted: {id}")));
    }
    let freed = engine.prune_images()?;
    if !deleted.is_empty() {
        output.line("Deleted Images:")?;
        for line in &deleted {
            output.line(line)?;
        }
        output.line("")?;
    }
    output.line(&format!("Total reclaimed space: {}", size(freed.bytes)))?;
    Ok(ExitStatus::Done)
}

fn confirmed(invocation: &Invocation, args: &PruneArgs) -> Result<bool, CommandError> {
    let what = if args.all {
        "all images that no container was made from"
    } else {
        "all images without a name"
    };
    if !std::io::stdin().is_terminal() {
        let error = CommandError::usage(format!("this would remove {what}"));
        return Err(error.hint("`--force` says that it shall"));
    }
    let mut output = invocation.stderr();
    output.bytes(format!("This will remove {what}. Go on? [y/N] ").as_bytes())?;
    output.flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let _count = read.map_err(|error| CommandError::cannot("read the answer", error))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn passes(image: &StoredImage, args: &PruneArgs) -> Result<bool, CommandError> {
    for filter in &args.filters {
        let Some((key, value)) = filter.split_once('=') else {
            return Err(CommandError::usage(format!(
                "`--filter {filter}` has no `=`"
            )));
        };
        let passes = match key {
            "until" => is_older(image, value)?,
            "label" => has_label(image, value),
            "label!" => !has_label(image, value),
            "dangling" => truth(value)? == image.names.is_empty() || args.all,
            _ => {
                return Err(CommandError::usage(format!(
                    "`--filter {key}` is not known"
                )));
            }
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_older(image: &StoredImage, text: &str) -> Result<bool, CommandError> {
    let limit = time::parse(text, environment::now())
        .map_err(|error| CommandError::room(ExitStatus::Usage, error))?;
    let created = image
        .created
        .as_deref()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(created.is_some_and(|created| std::time::SystemTime::from(created) < limit))
}

/// Says whether an image has a label, given as `KEY` or `KEY=VALUE`.
pub(super) fn has_label(image: &StoredImage, wanted: &str) -> bool {
    let (key, value) = match wanted.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (wanted, None),
    };
    let own = image.labels.get(key);
    own.is_some_and(|own| value.is_none_or(|value| own == value))
}

/// Reads the value of a filter that is yes or no.
pub(super) fn truth(text: &str) -> Result<bool, CommandError> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(CommandError::usage(format!(
            "`{text}` is neither `true` nor `false`"
        ))),
    }
}
