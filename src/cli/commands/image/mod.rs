//! `image`: the life of images in the store, with Docker's flags and shapes.

mod rows;
mod load;
mod save;
mod list;
mod inspect;
mod history;
pub(super) mod tag;
mod remove;
mod prune;

use clap::{Args, Subcommand};

use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::runtime::image::ImageError;

/// Manage images
#[derive(Debug, Args)]
pub(in crate::cli) struct ImageArgs {
    #[command(subcommand)]
    verb: ImageVerb,
}

/// What is to be done with images.
#[derive(Debug, Subcommand)]
enum ImageVerb {
    #[command(visible_alias = "list")]
    Ls(list::ListArgs),
    Inspect(inspect::InspectArgs),
    History(history::HistoryArgs),
    Tag(tag::TagArgs),
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArgs),
    Prune(prune::PruneArgs),
    Save(save::SaveArgs),
    Load(load::LoadArgs),
}

/// Does what is asked.
pub(in crate::cli) fn image(
    invocation: &Invocation,
    args: &ImageArgs,
) -> Result<ExitStatus, CommandError> {
    match &args.verb {
        ImageVerb::Ls(args) => list::list(invocation, args),
        ImageVerb::Inspect(args) => inspect::inspect(invocation, args),
        ImageVerb::History(args) => history::history(invocation, args),
        ImageVerb::Tag(args) => tag::tag(invocation, args),
        ImageVerb::Rm(args) => remove::remove(invocation, args),
        ImageVerb::Prune(args) => prune::prune(invocation, args),
        ImageVerb::Save(args) => save::save(invocation, args),
        ImageVerb::Load(args) => load::load(invocation, args),
    }
}

fn failed(error: ImageError) -> CommandError {
    CommandError::room(ExitStatus::Failed, error)
}
