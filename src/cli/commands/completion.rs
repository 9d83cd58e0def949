//! `completion`: scripts that make a shell complete verbs, flags and the names of services.

use clap::Args;

/// Write a script that makes a shell complete commands, flags and names of services
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionArgs {
    /// The shell that shall run the script
    shell: Shell,
}
