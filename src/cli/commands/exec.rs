//! `exec`: one more program in a container that runs, with its terminal and its exit code.

use clap::{ArgAction, Args};

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::cli::terminal::{self, RawTerminal};
use crate::engine::{EngineError, ExecRequest, Stdio};
use crate::runtime::container::ContainerError;

/// Run a command in a running container
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
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

    /// Pass our input on, as is done anyway
    #[arg(short, long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    interactive: bool,

    /// Give the command a terminal, as is done anyway where our output is one
    #[arg(short, long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    tty: bool,

    /// Give the command all capabilities
    #[arg(long)]
    privileged: bool,

    /// Do not give the command a terminal; it gets none either when our output is not one
    #[arg(short = 'T', long, alias = "no-TTY")]
    no_tty: bool,

    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Run in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The service in whose container the command runs
    #[arg(add = complete::service())]
    service: String,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a command and returns its exit code.
pub(in crate::cli) fn exec(
    invocation: &Invocation,
    args: &ExecArgs,
) -> Result<ExitStatus, CommandError> {
    invocation.refuse_rehearsal("exec")?;
    let (engine, target, observed) = invocation.look_and_stay(&[])?;
    let container = select::replica(&target, &observed, &args.service, args.index)?;
    let has_terminal = args.tty && !args.no_tty && !args.detach && terminal::is_interactive();
    let code = block_on(async {
        let request = ExecRequest {
            args: args.command.clone(),
            environment: invocation.environment.named(&args.env),
            user: args.user.clone(),
            working_dir: args.workdir.clone(),
            tty: if has_terminal {
                Some(terminal::size()?)
            } else {
                None
            },
            privileged: args.privileged,
            detach: args.detach,
            stdio: streams(args)?,
        };
        let _raw = if has_terminal {
            Some(RawTerminal::enter()?)
        } else {
            None
        };
        let code = engine.exec(&container.name, request).await;
        // The exit code of a command that is left running is of no interest, and why there is none neither.
        let refused = if args.detach { From::from } else { refused };
        code.map_err(refused)
    })?;
    Ok(ExitStatus::of_container(code))
}

/// Returns what the command reads and writes.
fn streams(args: &ExecArgs) -> Result<Stdio, CommandError> {
    if args.detach {
        return Ok(Stdio::default());
    }
    let mut streams = terminal::own_streams()?;
    if !args.interactive {
        streams.stdin = None;
    }
    Ok(streams)
}

/// A program that is not there, or is none, ends with the code that a shell gives for it.
fn refused(error: EngineError) -> CommandError {
    let code = match &error {
        EngineError::Act { source, .. } => source
            .downcast_ref::<ContainerError>()
            .map(ContainerError::exit_code)
            // Any other failure is none of the program.
            .filter(|code| matches!(code, 126 | 127)),
        EngineError::Unreachable { .. }
        | EngineError::ContainerNotFound { .. }
        | EngineError::NetworkNotFound { .. }
        | EngineError::VolumeNotFound { .. }
        | EngineError::ImageNotFound { .. }
        | EngineError::NameTaken { .. }
        | EngineError::PortTaken { .. }
        | EngineError::ProjectLocked { .. }
        | EngineError::NotRunning { .. }
        | EngineError::Ended { .. }
        | EngineError::Removed { .. }
        | EngineError::Unhealthy { .. }
        | EngineError::TimedOut { .. }
        | EngineError::NoHealthcheck { .. }
        | EngineError::HookFailed { .. }
        | EngineError::BuildFailed { .. }
        | EngineError::NotSupported { .. } => None,
    };
    let error = CommandError::from(error);
    match code {
        Some(code) => error.ends_with(ExitStatus::of_container(code)),
        None => error,
    }
}
