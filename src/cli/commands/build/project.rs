//! The images of a Compose project's services.

use super::BuildArgs;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;

/// Builds the images of services.
pub(super) fn build(
    _invocation: &Invocation,
    _args: &BuildArgs,
) -> Result<ExitStatus, CommandError> {
    Err(CommandError::user("building services is not supported yet"))
}
