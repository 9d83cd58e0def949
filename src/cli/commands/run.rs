//! `run`: a container like those of a service, for one command, in the foreground unless told otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use super::attach::{self, Keys};
use crate::cli::complete;
use crate::cli::desire::{self, PullChoice};
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::select;
use crate::cli::terminal::{self, RawTerminal};
use crate::cli::work::Work;
use crate::compose::shorthand::{parse_port, parse_volume};
use crate::compose::{self, Project, model};
use crate::desired::{Aliases, Change, ContainerSpec, DesiredState, HookStage, OneOff};
use crate::engine::{AttachRequest, Engine};
use crate::observed::Scope;
use crate::plan::{
    self, Action, AnonymousVolumes, Dependencies, OrphanPolicy, RunOptions, RunStart, UpOptions,
};
use crate::report::{ProgressStyle, Rehearsal};
use crate::value::{ContainerName, NameError, ServiceName};

/// Run a one-off command on a service
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct RunArgs {
    /// Build the image before starting the container
    #[arg(long)]
    build: bool,

    /// Give the container a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,

    /// Take a capability from the container
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,

    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,

    /// Replace the entry point of the image
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,

    /// Set a variable, or pass on ours
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Set the variables that a file lists
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,

    /// Pass our input on
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    interactive: bool,

    /// Put a label on the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// Name the container
    #[arg(long)]
    name: Option<String>,

    /// Do not start the services that the service depends on
    #[arg(long)]
    no_deps: bool,

    /// Do not give the command a terminal; it gets none either when our input or output is not one
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// Give the command a terminal, as is done anyway on a terminal
    #[arg(short, long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    tty: bool,

    /// Publish a port of the container
    #[arg(short, long, value_name = "PORT", conflicts_with = "service_ports")]
    publish: Vec<String>,

    /// Fetch the image before running
    #[arg(long, value_name = "POLICY")]
    pull: Option<PullChoice>,

    /// Show only what the command writes
    #[arg(short, long)]
    quiet: bool,

    /// Do not show the progress of builds
    #[arg(long)]
    quiet_build: bool,

    /// Do not show the progress of pulls
    #[arg(long)]
    quiet_pull: bool,

    /// Remove containers of services that the Compose file no longer has (`COMPOSE_REMOVE_ORPHANS`)
    #[arg(long)]
    remove_orphans: bool,

    /// Remove the container when the command has ended
    #[arg(long)]
    rm: bool,

    /// Publish the ports of the service
    #[arg(short = 'P', long)]
    service_ports: bool,

    /// Give the container the network names of the service
    #[arg(long)]
    use_aliases: bool,

    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Mount a folder or volume
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,

    /// Run in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The service whose configuration the container has
    #[arg(add = complete::service())]
    service: String,

    /// The command and its arguments, instead of those of the service
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a command and returns its exit code.
pub(in crate::cli) fn run(
    invocation: &Invocation,
    args: &RunArgs,
) -> Result<ExitStatus, CommandError> {
    let orphans = invocation.orphans(Flag::from(args.remove_orphans))?;
    let mut project = invocation.load(std::slice::from_ref(&args.service))?;
    let has_terminal = args.tty && !args.no_tty && !args.detach && terminal::is_interactive();
    change_model(invocation, args, &mut project)?;
    let one_off = one_off(invocation, args, Flag::from(has_terminal))?;
    let (desired, service, spec) = exact(invocation, args, (&project, one_off))?;
    let options = options(args, service, orphans);
    block_on(async {
        let engine = invocation.engine()?;
        let scope = desire::scope(&desired, options.up.pull);
        let mut work = Work::new(invocation, engine.as_ref(), scope, "run");
        if args.quiet {
            work.style = ProgressStyle::Quiet;
        }
        work.quiet_pull = Flag::from(args.quiet_pull);
        let planner = |observed: &_, diverged_volumes| {
            let mut options = options.clone();
            options.up.diverged_volumes = diverged_volumes;
            Ok(plan::run(&desired, observed, &options)?)
        };
        if args.detach || invocation.rehearsal() == Rehearsal::Yes {
            work.carry_out(&planner).await?;
            if invocation.rehearsal() == Rehearsal::No {
                print_id(invocation, engine.as_ref(), &spec).await?;
            }
            return Ok(ExitStatus::Done);
        }
        let prepared = work.plan_and_walk(&planner).await?;
        let ran = in_foreground(
            engine.as_ref(),
            args,
            &spec,
            Flag::from(has_terminal),
            || {
                drop(prepared);
            },
        )
        .await;
        match ran {
            // The user left it running.
            Ok(None) => Ok(ExitStatus::Done),
            Ok(Some(code)) => {
                tidy_up(engine.as_ref(), args, &spec.name).await?;
                Ok(ExitStatus::of_container(code))
            }
            Err(error) => {
                // The first failure is the one to tell.
                drop(tidy_up(engine.as_ref(), args, &spec.name).await);
                Err(error)
            }
        }
    })
}

/// Puts into the service what is mounted and published for this container alone.
fn change_model(
    invocation: &Invocation,
    args: &RunArgs,
    project: &mut Project,
) -> Result<(), CommandError> {
    let known: Vec<String> = project.services.keys().cloned().collect();
    let Some(service) = project.services.get_mut(&args.service) else {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(select::no_such_service(&args.service, &known));
    };
    if !args.service_ports {
        service.ports.clear();
    }
    for text in &args.publish {
        let wrong = |error| CommandError::usage(format!("`--publish {text}`: {error}"));
        service.ports.extend(parse_port(text).map_err(wrong)?);
    }
    for text in &args.volume {
        let wrong = |error| CommandError::usage(format!("`--volume {text}`: {error}"));
        let mut volume = parse_volume(text).map_err(wrong)?;
        volume.source = volume
            .source
            .map(|source| absolute(invocation, &volume.kind, source));
        service
            .volumes
            .retain(|other| other.target != volume.target);
        service.volumes.push(volume);
    }
    service.container_name = None;
    Ok(())
}

/// Returns the path of a bind on this machine, as the shell that typed it means it.
fn absolute(invocation: &Invocation, kind: &str, source: String) -> String {
    if kind != "bind" {
        return source;
    }
    let path = match source.strip_prefix('~') {
        Some(rest) => invocation
            .environment
            .home()
            .join(rest.trim_start_matches('/')),
        None => invocation.environment.working_directory().join(&source),
    };
    let parts = path
        .components()
        .filter(|part| *part != std::path::Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

fn one_off(
    invocation: &Invocation,
    args: &RunArgs,
    terminal: Flag,
) -> Result<OneOff, CommandError> {
    let name = args.name.as_ref().map(|name| name.parse()).transpose();
    let name = name.map_err(|error: NameError| CommandError::room(ExitStatus::Usage, error))?;
    let entrypoint = args
        .entrypoint
        .as_ref()
        .map(|line| model::command_words(line));
    let entrypoint = entrypoint
        .transpose()
        .map_err(|reason| CommandError::usage(format!("`--entrypoint`: {reason}")))?;
    let mut environment = BTreeMap::new();
    for file in &args.env_from_file {
        environment.extend(variables(invocation, file)?);
    }
    environment.extend(invocation.environment.named(&args.env));
    let adds = args.cap_add.iter().cloned().map(Change::Add);
    let drops = args.cap_drop.iter().cloned().map(Change::Drop);
    Ok(OneOff {
        name,
        slug: slug()?,
        entrypoint,
        command: (!args.command.is_empty()).then(|| args.command.clone()),
        environment,
        labels: args.label.iter().map(|label| label_of(label)).collect(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        tty: terminal.is_set(),
        stdin_open: args.interactive && !args.detach,
        capabilities: adds.chain(drops).collect(),
        aliases: if args.use_aliases {
            Aliases::Service
        } else {
            Aliases::OwnName
        },
        remove_at_end: args.rm,
    })
}

fn label_of(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// Reads the variables that a file lists.
fn variables(
    invocation: &Invocation,
    file: &Path,
) -> Result<BTreeMap<String, String>, CommandError> {
    let path = invocation.environment.working_directory().join(file);
    let act = || format!("read the variables in `{}`", file.display());
    let bytes = invocation.source().read(&path);
    let bytes = bytes.map_err(|error| CommandError::cannot(act(), error))?;
    let text = String::from_utf8(bytes).map_err(|error| CommandError::cannot(act(), error))?;
    compose::read_variables(&text, invocation.environment.variables())
        .map_err(|error| CommandError::cannot(act(), error))
}

/// Returns 12 random hexadecimal digits.
fn slug() -> Result<String, CommandError> {
    let mut random = [0_u8; 6];
    let flags = rustix::rand::GetRandomFlags::empty();
    let filled = rustix::rand::getrandom(&mut random, flags)
        .map_err(|error| CommandError::cannot("name the container", std::io::Error::from(error)))?;
    debug_assert!(filled == random.len(), "a few bytes come at once");
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the project exact, with the container among it; returns what stands for it and what it is.
fn exact(
    invocation: &Invocation,
    args: &RunArgs,
    (project, one_off): (&Project, OneOff),
) -> Result<(DesiredState, ServiceName, ContainerSpec), CommandError> {
    let one = crate::cli::args::Scale {
        service: args.service.clone(),
        replicas: 1,
    };
    let mut desired = desire::expand(project, &[one], invocation.source())?;
    let service: ServiceName = desire::service(&args.service)?;
    let key = one_off
        .join(&mut desired, &service)
        .map_err(|error| CommandError::room(ExitStatus::Usage, error))?;
    let found = key.and_then(|key| {
        let spec = desired.services.get(&key)?.replicas.first()?.clone();
        Some((key, spec))
    });
    let Some((key, spec)) = found else {
        let text = format!("service `{service}` has no container to run a command in");
        return Err(CommandError::user(text));
    };
    Ok((desired, key, spec))
}

fn dependencies(args: &RunArgs) -> Dependencies {
    if args.no_deps {
        Dependencies::Skip
    } else {
        Dependencies::Include
    }
}

fn options(args: &RunArgs, service: ServiceName, orphans: OrphanPolicy) -> RunOptions {
    RunOptions {
        up: UpOptions {
            services: [service.clone()].into(),
            dependencies: dependencies(args),
            orphans,
            pull: args.pull.map(Into::into),
            build: desire::builds(Flag::from(args.build), Flag::Unset),
            ..UpOptions::plain()
        },
        service,
        start: if args.detach {
            RunStart::ByPlan
        } else {
            RunStart::ByCaller
        },
    }
}

/// Starts the container with our streams and returns its exit code when it ends, or nothing when the user detached.
async fn in_foreground(
    engine: &dyn Engine,
    args: &RunArgs,
    spec: &ContainerSpec,
    terminal: Flag,
    on_start: impl FnOnce(),
) -> Result<Option<i32>, CommandError> {
    let mut stdio = terminal::own_streams()?;
    if !args.interactive {
        stdio.stdin = None;
    }
    let has_terminal = terminal.is_set();
    let request = AttachRequest {
        stdio,
        terminal: if has_terminal {
            Some(terminal::size()?)
        } else {
            None
        },
        detach_keys: Keys::usual().into_bytes(),
    };
    let _raw = if has_terminal {
        Some(RawTerminal::enter()?)
    } else {
        None
    };
    let files = spec.files.clone();
    let running = engine
        .start_in_foreground(&spec.name, files, request)
        .await?;
    on_start();
    for (index, hook) in spec.hooks.post_start.iter().enumerate() {
        let action = Action::RunHook {
            container: spec.name.clone(),
            stage: HookStage::PostStart,
            index,
            hook: Box::new(hook.clone()),
        };
        let _performed = engine.perform(&action, &()).await?;
    }
    tokio::select! {
        ended = running => Ok(ended?),
        failed = attach::pass_signals_on(engine, &spec.name) => Err(failed),
    }
}

/// Removes the container where that is wanted.
async fn tidy_up(
    engine: &dyn Engine,
    args: &RunArgs,
    name: &ContainerName,
) -> Result<(), CommandError> {
    if args.rm {
        let action = Action::RemoveContainer {
            name: name.clone(),
            volumes: AnonymousVolumes::Remove,
        };
        let _performed = engine.perform(&action, &()).await?;
    }
    Ok(())
}

async fn print_id(
    invocation: &Invocation,
    engine: &dyn Engine,
    spec: &ContainerSpec,
) -> Result<(), CommandError> {
    let observed = engine
        .observe(&Scope::project(spec.project.clone()))
        .await?;
    let id = observed
        .containers
        .get(&spec.name)
        .map(|container| &container.id);
    let id = id.map_or_else(|| spec.name.to_string(), Clone::clone);
    Ok(invocation.stdout().line(&id)?)
}
