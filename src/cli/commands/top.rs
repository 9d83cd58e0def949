//! `top`: the processes in containers.

use clap::Args;

use crate::cli::complete;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::report::{ProcessLine, write_processes};

/// Show the processes of containers
#[derive(Debug, Args)]
pub(in crate::cli) struct TopArgs {
    /// Show only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,
}

/// Lists processes.
pub(in crate::cli) fn top(
    invocation: &Invocation,
    args: &TopArgs,
) -> Result<ExitStatus, CommandError> {
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    let containers = select::containers(&target, &observed, &args.services)?;
    let lines = block_on(async {
        let mut lines = Vec::new();
        for container in containers
            .into_iter()
            .filter(|container| container.is_alive())
        {
            for process in engine.top(&container.name).await? {
                lines.push(ProcessLine {
                    service: container.service.to_string(),
                    number: container.number,
                    user: process.user,
                    pid: process.pid,
                    parent_pid: process.parent_pid,
                    started: process.started,
                    cpu_ms: process.cpu_ms,
                    tty: process.tty,
                    command: process.command,
                });
            }
        }
        Ok(lines)
    })?;
    write_processes(&mut invocation.stdout(), &lines, environment::now())?;
    Ok(ExitStatus::Done)
}
