//! `exec`: one more program in a container that runs, with its terminal and its exit code.

use clap::Args;

/// Run a command in a running container
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct ExecArgs {
    /// Return at once and leave the command running
    #[arg(short, long)]
    detach: bool,

    /// Set a variable for the command, or pass on ours
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Run in the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// Give the command all capabilities
    #[arg(long)]
    privileged: bool,

    /// Do not give the command a terminal; it gets none either when our output is not one
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Run in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The service in whose container the command runs
    service: String,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}
