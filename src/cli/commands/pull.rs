//! `pull`: a plan of images only.

use clap::{Args, ValueEnum};

use crate::cli::complete;
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Invocation, WHO_IS_THERE};
use crate::cli::work::Work;
use crate::desired::PullPolicy;
use crate::plan::{self, Dependencies, PullOptions};
use crate::report::ProgressStyle;

/// Fetch the images of services
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct PullArgs {
    /// Fetch only the images of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Leave out images that a `build` section describes
    #[arg(long)]
    ignore_buildable: bool,

    /// Go on and succeed when an image cannot be fetched
    #[arg(long)]
    ignore_pull_failures: bool,

    /// Fetch the images of the services that the named ones depend on too
    #[arg(long)]
    include_deps: bool,

    /// Fetch what is missing only, or look for newer images too
    #[arg(long, value_name = "POLICY")]
    policy: Option<PolicyChoice>,

    /// Fetch several images at the same time; as Docker Compose has it, without any effect
    #[arg(long, hide = true)]
    parallel: bool,

    /// Fetch one image after the other; as Docker Compose has it, without any effect
    #[arg(long, hide = true)]
    no_parallel: bool,

    /// Do not show progress
    #[arg(short, long)]
    quiet: bool,
}

/// The values of `--policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PolicyChoice {
    /// Fetch what is not here
    Missing,
    /// Ask for a newer image each time
    Always,
}

/// Fetches images.
pub(in crate::cli) fn pull(
    invocation: &Invocation,
    args: &PullArgs,
) -> Result<ExitStatus, CommandError> {
    let project = invocation.load_with(&args.services, WHO_IS_THERE)?;
    let mut desired = desire::expand(&project, &[], invocation.source())?;
    if args.ignore_buildable {
        desired.services.retain(|_, service| !service.has_build);
    }
    let policy = match args.policy {
        Some(PolicyChoice::Missing) => PullPolicy::Missing,
        Some(PolicyChoice::Always) | None => PullPolicy::Always,
    };
    let options = PullOptions {
        services: desire::services(&args.services)?,
        dependencies: if args.include_deps {
            Dependencies::Include
        } else {
            Dependencies::Skip
        },
        policy: Some(policy),
    };
    let engine = invocation.engine()?;
    let scope = desire::scope(&desired, options.policy);
    let mut work = Work::new(invocation, engine.as_ref(), scope, "pull");
    if args.quiet {
        work.style = ProgressStyle::Quiet;
    }
    let pulled =
        block_on(work.carry_out(&|observed, _| Ok(plan::pull(&desired, observed, &options))));
    match pulled {
        Err(error) if args.ignore_pull_failures && error.status() == ExitStatus::Failed => {
            error.report(&mut invocation.stderr());
            Ok(ExitStatus::Done)
        }
        pulled => pulled.map(|()| ExitStatus::Done),
    }
}
