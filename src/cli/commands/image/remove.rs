//! `image rm`: names taken from images, and images without a name from the disk.

use clap::Args;

use super::failed;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::engine::embedded::Embedded;
use crate::report::Output;
use crate::runtime::image::Match;

/// Remove images
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Remove these names, or all names of images that are given by their id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,

    /// Remove the name also where a container was made from the image, and succeed where there is no image
    #[arg(short, long)]
    force: bool,

    /// Keep what only the image needs on the disk; the next `image prune` removes it
    #[arg(long)]
    no_prune: bool,
}

/// Removes images; those that cannot be removed are named after the others are gone.
pub(super) fn remove(
    invocation: &Invocation,
    args: &RemoveArgs,
) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let mut output = invocation.stdout();
    let mut errors = Vec::new();
    for text in &args.images {
        match engine.images().lookup(text) {
            Ok(found) => match remove_one(&engine, args, &found, &mut output) {
                Ok(()) => {}
                Err(error) => errors.push(error),
            },
            Err(error) if args.force => {
                drop(error);
            }
            Err(error) => errors.push(failed(error)),
        }
    }
    if !args.no_prune {
        let _freed = engine.prune_images()?;
    }
    if errors.is_empty() {
        return Ok(ExitStatus::Done);
    }
    Err(CommandError::several(ExitStatus::Failed, errors))
}

fn remove_one(
    engine: &Embedded,
    args: &RemoveArgs,
    found: &Match,
    output: &mut Output,
) -> Result<(), CommandError> {
    let image = &found.image;
    let id = image.id.short();
    if found.name.is_none() && image.names.len() > 1 && !args.force {
        let error = CommandError::user(format!("image `{id}` has several names"));
        return Err(error.hint("name one of them, or remove all with `--force`"));
    }
    let is_last = found.name.is_none() || image.names.len() <= 1;
    let users = engine.containers_of(image)?;
    if is_last
        && let Some(user) = users.first()
        && !args.force
    {
        let name = found
            .name
            .as_ref()
            .map_or(id.to_owned(), ToString::to_string);
        let error = CommandError::user(format!(
            "image `{name}` cannot be removed: container `{user}` was made from it"
        ));
        return Err(error.hint("remove the container first, or only the name with `--force`"));
    }
    let removed = engine.images().untag(found).map_err(failed)?;
    for name in removed.untagged {
        output.line(&format!("Untagged: {name}"))?;
    }
    if let Some(id) = removed.deleted {
        output.line(&format!("Deleted: {id}"))?;
    }
    Ok(())
}
