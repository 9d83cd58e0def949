//! `image tag`: one more name for an image.

use clap::Args;

use super::failed;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::value::{ImageRef, RegistryRef};

/// Give an image one more name
#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// Name this image, by a name that it has or by its id
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,

    /// The new name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

/// Tags an image.
pub(super) fn tag(invocation: &Invocation, args: &TagArgs) -> Result<ExitStatus, CommandError> {
    let name = new_name(&args.target)?;
    let engine = invocation.embedded()?;
    let found = engine.images().lookup(&args.source).map_err(failed)?;
    engine.images().tag(&found.image, &name).map_err(failed)?;
    Ok(ExitStatus::Done)
}

/// Reads a name that an image can be given: one of a registry, without a digest.
pub(in crate::cli) fn new_name(text: &str) -> Result<RegistryRef, CommandError> {
    let parsed = text.parse::<ImageRef>();
    match parsed.map_err(|error| CommandError::room(ExitStatus::Failed, error))? {
        ImageRef::Registry(name) if name.digest().is_none() => Ok(name),
        ImageRef::Registry(_) => Err(CommandError::user(format!(
            "`{text}` cannot be a new name: it has a digest, which says what is in the image already"
        ))),
        ImageRef::Local(_) => Err(CommandError::user(format!(
            "`{text}` cannot be a new name: it is a place on this disk"
        ))),
    }
}
