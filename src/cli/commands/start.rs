//! `start`: containers that exist run again.

use clap::Args;

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::desired::DesiredState;
use crate::observed::ObservedState;
use crate::plan::{self, Dependencies, StartOptions, WaitFor};
use crate::value::{ProjectName, ServiceName};

/// Start containers that exist
#[derive(Debug, Args)]
pub(in crate::cli) struct StartArgs {
    /// Start only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Return when the services are running or healthy
    #[arg(long)]
    wait: bool,

    /// Fail when `--wait` takes longer than this
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<i64>,
}

/// Starts containers.
pub(in crate::cli) fn start(
    invocation: &Invocation,
    args: &StartArgs,
) -> Result<ExitStatus, CommandError> {
    let timeout = args
        .wait_timeout
        .filter(|seconds| *seconds > 0)
        .map(desire::seconds);
    let options = StartOptions {
        services: desire::services(&args.services)?,
        wait: if args.wait {
            WaitFor::Ready { timeout }
        } else {
            WaitFor::Started
        },
    };
    invocation.change("start", &args.services, &|target, observed| {
        let desired = target.desired(invocation.source())?;
        check(&target.name, desired.as_ref(), observed, &options)?;
        Ok(plan::start(desired.as_ref(), observed, &options))
    })
}

/// Refuses to start what has not been created.
fn check(
    project: &ProjectName,
    desired: Option<&DesiredState>,
    observed: &ObservedState,
    options: &StartOptions,
) -> Result<(), CommandError> {
    let Some(desired) = desired else {
        if observed.containers.is_empty() {
            let text = format!("project `{project}` has no container to start");
            return Err(CommandError::user(text));
        }
        return Ok(());
    };
    let meant = desire::meant(desired, &options.services, Dependencies::Include);
    let is_missing = |service: &&ServiceName| {
        let wanted = desired.services.get(*service);
        wanted.is_some_and(|wanted| !wanted.replicas.is_empty())
            && observed.replicas(service).next().is_none()
    };
    match meant.iter().find(is_missing) {
        None => Ok(()),
        Some(service) => {
            let text = format!("service `{service}` has no container to start");
            Err(CommandError::user(text).hint(format!("`consort up -d {service}` makes one")))
        }
    }
}
