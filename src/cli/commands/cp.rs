//! `cp`: files between a service and the host, or a tar archive on a pipe.

use std::fs::File;
use std::io;
use std::path::{Component, PathBuf};

use clap::Args;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::cli::terminal;
use crate::engine::{CopyDirection, CopyRequest, Engine};
use crate::observed::{ObservedContainer, OneOff};
use crate::report::{ProgressStyle, Rehearsal};
use crate::runtime::copy::{CopyOptions, Links, Owners};
use crate::value::ContainerName;

/// Copy files between a service and the host
#[derive(Debug, Args)]
pub(in crate::cli) struct CpArgs {
    /// Copy also to the containers of `run`
    #[arg(long)]
    all: bool,

    /// Keep the owners of what comes out of a container
    #[arg(short, long)]
    archive: bool,

    /// Copy what a link leads to, instead of the link
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// Copy to or from the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// What is copied; `-` for a tar archive on standard input
    #[arg(value_name = "SERVICE:PATH|PATH|-", add = complete::service())]
    source: String,

    /// Where it is copied to; `-` for a tar archive on standard output
    #[arg(value_name = "SERVICE:PATH|PATH|-", add = complete::service())]
    target: String,
}

/// One side of a copy.
enum Side<'text> {
    Service { name: &'text str, path: &'text str },
    Host(&'text str),
    Pipe,
}

impl<'text> Side<'text> {
    /// Reads `SERVICE:PATH`, a path, or `-`. A text that begins as a path does is one, whatever else is in it.
    fn read(text: &'text str) -> Self {
        if text == "-" {
            return Self::Pipe;
        }
        match text.split_once(':') {
            Some((name, path)) if !name.is_empty() && !name.starts_with(['.', '/']) => {
                Self::Service { name, path }
            }
            Some(_) | None => Self::Host(text),
        }
    }
}

/// Copies files.
pub(in crate::cli) fn cp(
    invocation: &Invocation,
    args: &CpArgs,
) -> Result<ExitStatus, CommandError> {
    match (Side::read(&args.source), Side::read(&args.target)) {
        (Side::Service { .. }, Side::Service { .. }) => Err(CommandError::usage(
            "copying between services is not supported",
        )
        .hint("copy to the host first")),
        (Side::Host(_) | Side::Pipe, Side::Host(_) | Side::Pipe) => Err(CommandError::usage(
            "one of the two must be in a service: `SERVICE:PATH`",
        )),
        (source, Side::Service { name, path }) => into(invocation, args, (source, name, path)),
        (Side::Service { name, path }, target) => out_of(invocation, args, (name, path, target)),
    }
}

fn into(
    invocation: &Invocation,
    args: &CpArgs,
    (source, service, path): (Side<'_>, &str, &str),
) -> Result<ExitStatus, CommandError> {
    let (engine, target, observed) = invocation.look_and_stay(&[service.to_owned()])?;
    let containers: Vec<&ObservedContainer> = match args.index {
        Some(index) => vec![select::replica(&target, &observed, service, Some(index))?],
        None => {
            // Refuses a service that is not there, or has no container.
            let first = select::replica(&target, &observed, service, None)?;
            let all = select::containers(&target, &observed, &[service.to_owned()])?;
            let is_meant = |it: &&ObservedContainer| {
                it.oneoff == OneOff::No || args.all && it.is_of_run() && !it.is_spent()
            };
            let meant: Vec<_> = all.into_iter().filter(is_meant).collect();
            if meant.is_empty() { vec![first] } else { meant }
        }
    };
    let piped = match source {
        Side::Pipe => Some(whole_input()?),
        Side::Host(_) | Side::Service { .. } => None,
    };
    for container in containers {
        let name = &container.name;
        if invocation.rehearsal() == Rehearsal::No {
            match (&source, &piped) {
                (Side::Host(from), _) => {
                    let request = request(invocation, args, CopyDirection::In, (path, from));
                    let _count = block_on(async { Ok(engine.copy(name, request).await?) })?;
                }
                (_, Some(archive)) => unpack(engine.as_ref(), name, archive, path)?,
                (Side::Pipe | Side::Service { .. }, None) => {}
            }
        }
        say(
            invocation,
            &format!("Copied {} to {name}:{path}", args.source),
        )?;
    }
    Ok(ExitStatus::Done)
}

fn out_of(
    invocation: &Invocation,
    args: &CpArgs,
    (service, path, target): (&str, &str, Side<'_>),
) -> Result<ExitStatus, CommandError> {
    let (engine, project, observed) = invocation.look_and_stay(&[service.to_owned()])?;
    let container = select::replica(&project, &observed, service, args.index)?;
    let name = &container.name;
    if invocation.rehearsal() == Rehearsal::No {
        match target {
            Side::Host(to) => {
                let request = request(invocation, args, CopyDirection::Out, (path, to));
                let _count = block_on(async { Ok(engine.copy(name, request).await?) })?;
            }
            Side::Pipe | Side::Service { .. } => {
                let to = terminal::own_streams()?.stdout;
                if let Some(to) = to {
                    let what = (inside_path(path), links(args));
                    block_on(async { Ok(engine.pack(name, what, to).await?) })?;
                }
            }
        }
    }
    say(
        invocation,
        &format!("Copied {name}:{path} to {}", args.target),
    )?;
    Ok(ExitStatus::Done)
}

fn say(invocation: &Invocation, text: &str) -> Result<(), CommandError> {
    if invocation.progress_style() == ProgressStyle::Quiet {
        return Ok(());
    }
    Ok(invocation.status().line(text)?)
}

fn request(
    invocation: &Invocation,
    args: &CpArgs,
    direction: CopyDirection,
    (inside, outside): (&str, &str),
) -> CopyRequest {
    CopyRequest {
        direction,
        inside: inside_path(inside),
        outside: absolute(invocation, outside),
        options: CopyOptions {
            links: links(args),
            // As with Docker: what goes in keeps its numbers, what comes out is the caller's own.
            owners: match direction {
                CopyDirection::In => Owners::Kept,
                CopyDirection::Out if args.archive => Owners::Kept,
                CopyDirection::Out => Owners::Own,
            },
        },
    }
}

/// Returns a path in a container: below its root, whatever its working directory is.
fn inside_path(text: &str) -> PathBuf {
    PathBuf::from(format!("/{}", text.trim_start_matches('/')))
}

/// Returns a path on the host as an absolute one, with the `/` or `/.` that it has at its end.
fn absolute(invocation: &Invocation, text: &str) -> PathBuf {
    let end = if text == "." || text.ends_with("/.") {
        "/."
    } else if text.ends_with('/') {
        "/"
    } else {
        ""
    };
    let path = invocation.environment.working_directory().join(text);
    let plain: PathBuf = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    PathBuf::from(format!("{}{end}", plain.display()))
}

/// Reads an archive on standard input whole: it is unpacked into several containers, each from its beginning.
fn whole_input() -> Result<File, CommandError> {
    let cannot =
        |error: io::Error| CommandError::cannot("read the archive on standard input", error);
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let memory =
        rustix::fs::memfd_create("archive", flags).map_err(|error| cannot(error.into()))?;
    let mut file = File::from(memory);
    let _count = io::copy(&mut io::stdin().lock(), &mut file).map_err(cannot)?;
    Ok(file)
}

fn unpack(
    engine: &dyn Engine,
    name: &ContainerName,
    archive: &File,
    into: &str,
) -> Result<(), CommandError> {
    let again = archive.try_clone();
    let again = again.map_err(|error| CommandError::cannot("read the archive again", error))?;
    block_on(async { Ok(engine.unpack(name, again.into(), inside_path(into)).await?) })
}

fn links(args: &CpArgs) -> Links {
    if args.follow_link {
        Links::Follow
    } else {
        Links::Keep
    }
}
