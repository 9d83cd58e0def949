//! `completion`: scripts that make a shell complete verbs, flags and the names of services.

use clap::Args;
use clap_complete::Shell;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;

/// Write a script that makes a shell complete commands, flags and names of services
#[derive(Debug, Args)]
#[command(after_help = "\
For the running shell:
  bash  source <(consort completion bash)
  zsh   source <(consort completion zsh)
  fish  consort completion fish | source")]
pub(in crate::cli) struct CompletionArgs {
    /// The shell that shall run the script
    shell: Shell,
}

/// Writes the script.
pub(in crate::cli) fn completion(
    invocation: &Invocation,
    args: &CompletionArgs,
) -> Result<ExitStatus, CommandError> {
    let script = complete::script(args.shell)
        .map_err(|source| CommandError::cannot("write the script", source))?;
    invocation.stdout().bytes(&script)?;
    Ok(ExitStatus::Done)
}
