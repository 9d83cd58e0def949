//! `wait`: until containers end.

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::cli::work::Work;
use crate::observed::Scope;
use crate::plan::{self, DownOptions};

/// Wait until the containers of services have stopped
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// The services to wait for
    #[arg(value_name = "SERVICE", required = true, add = complete::service())]
    services: Vec<String>,

    /// Bring the whole project down when the first of them has stopped
    #[arg(long)]
    down_project: bool,
}

/// Waits for containers and returns the exit code of the one that stopped last.
pub(in crate::cli) fn wait(
    invocation: &Invocation,
    args: &WaitArgs,
) -> Result<ExitStatus, CommandError> {
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    let containers = select::containers(&target, &observed, &args.services)?;
    if containers.is_empty() {
        return Err(CommandError::user(format!(
            "project `{}` has no container",
            target.name
        )));
    }
    let mut output = invocation.stdout();
    block_on(async {
        let mut waiting: FuturesUnordered<_> = containers
            .into_iter()
            .map(|container| async { (&container.id, engine.wait(&container.name).await) })
            .collect();
        let mut last_code = 0;
        while let Some((id, code)) = waiting.next().await {
            last_code = code?;
            output.line(&format!(
                "container \"{id}\" exited with status code {last_code}"
            ))?;
            if args.down_project {
                break;
            }
        }
        if args.down_project {
            let scope = Scope::project(target.name.clone());
            let work = Work::new(invocation, engine.as_ref(), scope, "down");
            let options = DownOptions::plain();
            work.carry_out(&|observed, _| Ok(plan::down(None, observed, &options)))
                .await?;
        }
        Ok(ExitStatus::of_container(last_code))
    })
}
