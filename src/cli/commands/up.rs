//! `up`: the whole line, from files to running containers, and then their output until they stop.

use std::collections::BTreeSet;
use std::sync::Mutex;

use clap::{ArgAction, Args};

use crate::cli::args::Scale;
use crate::cli::attached::{self, Attached, EndsWith};
use crate::cli::complete;
use crate::cli::desire::{self, PullChoice};
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::follow;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::select;
use crate::cli::work::{Unchanged, Work, take_lock};
use crate::compose::Project;
use crate::desired::DesiredState;
use crate::engine::{Engine, ProjectLock};
use crate::plan::{
    self, Dependencies, OrphanPolicy, Recreate, Renew, StartMode, UpOptions, WaitFor,
};
use crate::report::{LogStyle, Prefix, Rehearsal, Timestamps};
use crate::value::ServiceName;

/// Create and start containers
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct UpArgs {
    /// Start only these services and what they depend on
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Return when the containers run, instead of showing their output
    #[arg(short, long, conflicts_with_all = ["abort_on_container_exit", "abort_on_container_failure", "attach", "attach_dependencies", "exit_code_from"])]
    detach: bool,

    /// Return when the services are running or healthy; implies `--detach`
    #[arg(long, conflicts_with_all = ["abort_on_container_exit", "abort_on_container_failure", "attach", "attach_dependencies", "exit_code_from", "no_start"])]
    wait: bool,

    /// Fail when `--wait` takes longer than this
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<i64>,

    /// Create the containers and do not start them
    #[arg(long)]
    no_start: bool,

    /// Run this many containers of a service, whatever the Compose file says
    #[arg(long, value_name = "SERVICE=COUNT", add = complete::scaled_service())]
    scale: Vec<Scale>,

    /// Recreate containers even if nothing about them has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Keep containers that exist as they are, even if something about them has changed
    #[arg(long)]
    no_recreate: bool,

    /// Recreate also the containers of the services that the named ones depend on
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,

    /// Give recreated containers new anonymous volumes instead of those they had
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    renew_anon_volumes: bool,

    /// Leave out the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,

    /// Remove containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Build images before starting, also those that are here
    #[arg(long, conflicts_with = "no_build")]
    build: bool,

    /// Do not build images that are missing
    #[arg(long)]
    no_build: bool,

    /// Do not show the progress of builds
    #[arg(long)]
    quiet_build: bool,

    /// Fetch images before starting
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,

    /// Do not show the progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Stop all containers as soon as one of them stops
    #[arg(long, conflicts_with = "abort_on_container_failure")]
    abort_on_container_exit: bool,

    /// Stop all containers as soon as one of them fails
    #[arg(long)]
    abort_on_container_failure: bool,

    /// Return the exit code of this service's container; implies `--abort-on-container-exit`
    #[arg(long, value_name = "SERVICE", add = complete::service())]
    exit_code_from: Option<String>,

    /// Show the output of these services only
    #[arg(long, value_name = "SERVICE", add = complete::service(), conflicts_with = "attach_dependencies")]
    attach: Vec<String>,

    /// Do not show the output of these services
    #[arg(long, value_name = "SERVICE", add = complete::service())]
    no_attach: Vec<String>,

    /// Show also the output of the services that the named ones depend on
    #[arg(long)]
    attach_dependencies: bool,

    /// Show output without colours
    #[arg(long)]
    no_color: bool,

    /// Show output without the names of the containers
    #[arg(long)]
    no_log_prefix: bool,

    /// Show the time of each line of output
    #[arg(long)]
    timestamps: bool,

    /// Give containers this long to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<i64>,

    /// Offer shortcuts on the terminal while services run; only `--menu=false` is supported yet
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    menu: Option<bool>,

    /// Answer yes to every question
    #[arg(short, long)]
    yes: bool,
}

/// Brings a project up.
pub(in crate::cli) fn up(
    invocation: &Invocation,
    args: &UpArgs,
) -> Result<ExitStatus, CommandError> {
    if args.menu == Some(true) {
        return Err(CommandError::user("`--menu` is not supported yet")
            .hint("the terminal has no shortcuts while services run"));
    }
    if args.menu.is_none() && invocation.environment.says_yes("COMPOSE_MENU") {
        invocation.warn("`COMPOSE_MENU` is set, and the terminal has no shortcuts yet")?;
    }
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let options = options(args, orphans)?;
    let project = invocation.load(&args.services)?;
    block_on(async {
        let (desired, engine, lock) = begin(invocation, args, &project).await?;
        let scope = desire::scope(&desired, options.pull);
        let mut work = Work::new(invocation, engine.as_ref(), scope, "up");
        work.lock = Mutex::new(lock);
        work.yes = Flag::from(args.yes);
        let meant = desire::meant(&desired, &options.services, options.dependencies);
        work.unchanged = Unchanged::Shown(meant);
        work.quiet_pull = Flag::from(args.quiet_pull);
        let planner = |observed: &_, diverged_volumes| {
            Ok(plan::up(
                &desired,
                observed,
                &UpOptions {
                    diverged_volumes,
                    ..options.clone()
                },
            )?)
        };
        let is_rehearsal = invocation.rehearsal() == Rehearsal::Yes;
        if args.detach || args.wait || args.no_start || is_rehearsal {
            work.carry_out(&planner).await?;
            return Ok(ExitStatus::Done);
        }
        attached::up(&work, &planner, &attached(args, &desired, &options)?).await
    })
}

/// Makes the project exact; meanwhile takes its lock, which puts right what a crash left behind.
async fn begin(
    invocation: &Invocation,
    args: &UpArgs,
    project: &Project,
) -> Result<(DesiredState, Box<dyn Engine>, Option<ProjectLock>), CommandError> {
    let is_rehearsal = invocation.rehearsal() == Rehearsal::Yes;
    let engine = invocation.engine();
    let locking = async {
        match (&engine, project.name.parse()) {
            (Ok(engine), Ok(name)) if !is_rehearsal => {
                let lock = take_lock(invocation, engine.as_ref(), &name).await?;
                Ok(Some(lock))
            }
            // Whichever it is, it is told after the mistakes of the project.
            _ => Ok(None),
        }
    };
    let exact = async {
        let desired = desire::expand(project, &args.scale, invocation.source())?;
        check(args, &desired)?;
        Ok::<_, CommandError>(desired)
    };
    let (lock, desired) = tokio::try_join!(locking, exact)?;
    Ok((desired, engine?, lock))
}

fn attached(
    args: &UpArgs,
    desired: &DesiredState,
    options: &UpOptions,
) -> Result<Attached, CommandError> {
    let shown = shown(args, desired, options)?;
    let services = shown.iter().filter_map(|name| desired.services.get(name));
    let labels = services
        .flat_map(|service| &service.replicas)
        .map(|spec| follow::label(&spec.name, &spec.service, spec.number))
        .collect();
    let named = desire::services(&args.services)?;
    let all = desired.services.keys().cloned().collect();
    let mut watched = if named.is_empty() {
        shown.clone()
    } else {
        named.clone()
    };
    watched.extend(desire::services(args.exit_code_from.as_slice())?);
    Ok(Attached {
        shown,
        labels,
        watched,
        stopped: if named.is_empty() { all } else { named },
        ends_with: ends_with(args),
        exit_code_from: args.exit_code_from.clone(),
        style: style(args),
        no_color: Flag::from(args.no_color),
        grace: args.timeout.map(desire::seconds),
        began: environment::now(),
    })
}

fn options(args: &UpArgs, orphans: OrphanPolicy) -> Result<UpOptions, CommandError> {
    let recreate = match () {
        () if args.force_recreate || args.renew_anon_volumes => Recreate::Force,
        () if args.no_recreate => Recreate::Never,
        () => Recreate::Diverged,
    };
    let recreate_dependencies = match () {
        () if args.always_recreate_deps => Recreate::Force,
        () if args.no_recreate => Recreate::Never,
        () => Recreate::Diverged,
    };
    let timeout = args
        .wait_timeout
        .filter(|seconds| *seconds > 0)
        .map(desire::seconds);
    Ok(UpOptions {
        services: desire::services(&args.services)?,
        dependencies: if args.no_deps {
            Dependencies::Skip
        } else {
            Dependencies::Include
        },
        recreate,
        recreate_dependencies,
        orphans,
        start: if args.no_start {
            StartMode::CreateOnly
        } else {
            StartMode::Start
        },
        pull: args.pull.map(Into::into),
        build: desire::builds(Flag::from(args.build), Flag::from(args.no_build)),
        anonymous_volumes: if args.renew_anon_volumes {
            Renew::Renew
        } else {
            Renew::Inherit
        },
        stop_grace: args.timeout.map(desire::seconds),
        wait: if args.wait {
            WaitFor::Ready { timeout }
        } else {
            WaitFor::Started
        },
        ..UpOptions::plain()
    })
}

/// Refuses what clap cannot: names of services that are not there, and a project without any.
fn check(args: &UpArgs, desired: &DesiredState) -> Result<(), CommandError> {
    if desired.services.is_empty() {
        return Err(CommandError::user("no service selected")
            .hint("`--profile` activates services that are only there on demand"));
    }
    let known: Vec<&str> = desired.services.keys().map(ServiceName::as_str).collect();
    let named = args
        .exit_code_from
        .iter()
        .chain(&args.attach)
        .chain(&args.no_attach);
    for name in named {
        if !known.contains(&name.as_str()) {
            return Err(select::no_such_service(name, &known));
        }
    }
    Ok(())
}

/// Returns the services whose output is shown.
fn shown(
    args: &UpArgs,
    desired: &DesiredState,
    options: &UpOptions,
) -> Result<BTreeSet<ServiceName>, CommandError> {
    let mut shown = if !args.attach.is_empty() {
        desire::services(&args.attach)?
    } else if args.services.is_empty() || args.attach_dependencies {
        desire::meant(desired, &options.services, options.dependencies)
    } else {
        desire::services(&args.services)?
    };
    if args.attach.is_empty() {
        shown.retain(|name| {
            let replicas = desired
                .services
                .get(name)
                .map(|service| service.replicas.as_slice());
            replicas.unwrap_or_default().iter().all(|spec| spec.attach)
        });
    }
    shown.retain(|name| !args.no_attach.iter().any(|hidden| *name == **hidden));
    Ok(shown)
}

fn ends_with(args: &UpArgs) -> EndsWith {
    if args.abort_on_container_failure {
        EndsWith::FirstFailure
    } else if args.abort_on_container_exit || args.exit_code_from.is_some() {
        EndsWith::FirstExit
    } else {
        EndsWith::LastExit
    }
}

fn style(args: &UpArgs) -> LogStyle {
    LogStyle {
        prefix: if args.no_log_prefix {
            Prefix::Hidden
        } else {
            Prefix::Shown
        },
        timestamps: if args.timestamps {
            Timestamps::Shown
        } else {
            Timestamps::Hidden
        },
    }
}
