//! `build`: images of services, or one image from a context, as `docker build` takes it.

mod context;
mod grant;
mod host;
mod output;
mod image;
mod lint;
mod project;
mod shown;

use clap::Args;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::value::GitSource;

/// Build the images of services, or one image from a context
///
/// With names of services, or without any argument, the images of the Compose project are built. With
/// a path, a URL or `-`, or with an option that only a single image can have, one image is built.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct BuildArgs {
    /// Build these services only; or the context: a folder, the URL of a repository or archive, `-`
    #[arg(value_name = "SERVICE|CONTEXT", add = complete::service())]
    words: Vec<String>,

    /// Set a build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,

    /// Check the Dockerfile and build nothing
    #[arg(long)]
    check: bool,

    /// Do every step again
    #[arg(long)]
    no_cache: bool,

    /// Ask for newer base images
    #[arg(long)]
    pull: bool,

    /// Push the images; not supported yet
    #[arg(long, hide = true)]
    push: bool,

    /// Write the images' ids only
    #[arg(short, long)]
    quiet: bool,

    /// Show the stages and steps of the build, and build nothing
    #[arg(long)]
    print: bool,

    /// Let steps use an SSH agent or keys: `default`, `ID=SOCKET` or `ID=KEY,KEY`
    #[arg(long, value_name = "ID[=PATH]")]
    ssh: Vec<String>,

    /// Build the services that the named ones depend on too
    #[arg(long)]
    with_dependencies: bool,

    /// How progress is shown: `plain`, or `quiet` for nothing
    #[arg(long, value_name = "KIND")]
    progress: Option<String>,

    /// As Docker has it; there are no builders here
    #[arg(long, hide = true, value_name = "NAME")]
    builder: Option<String>,

    /// As Docker has it; the memory of a build is not limited
    #[arg(short, long, hide = true, value_name = "SIZE")]
    memory: Option<String>,

    /// As Docker has it; attestations are not made
    #[arg(long, hide = true, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,

    /// As Docker has it; attestations are not made
    #[arg(long, hide = true, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,

    #[command(flatten)]
    image: image::ImageArgs,
}

/// Builds.
pub(in crate::cli) fn build(
    invocation: &Invocation,
    args: &BuildArgs,
) -> Result<ExitStatus, CommandError> {
    refuse(args)?;
    warn(invocation, args)?;
    if args.image.is_any_given() || args.words.iter().any(|word| is_context(word)) {
        return image::build(invocation, args);
    }
    project::build(invocation, args)
}

/// Says whether a word is a context and cannot be a service.
fn is_context(word: &str) -> bool {
    word == "-" || word == "." || word == ".." || word.contains('/') || GitSource::is_meant(word)
}

fn refuse(args: &BuildArgs) -> Result<(), CommandError> {
    if args.push {
        return Err(CommandError::user("`--push` is not supported yet")
            .hint("write the image with `-o type=oci,dest=FILE` and push it with another tool"));
    }
    Ok(())
}

/// Says which flags have no effect here.
fn warn(invocation: &Invocation, args: &BuildArgs) -> Result<(), CommandError> {
    let is_wanted = |value: &Option<String>| {
        value
            .as_deref()
            .is_some_and(|value| !matches!(value, "false" | "0" | "f" | "mode=disabled"))
    };
    let told = [
        (
            args.builder.is_some(),
            "`--builder` has no effect: there are no builders here",
        ),
        (
            args.memory.is_some(),
            "`--memory` has no effect: as with BuildKit, memory is not limited",
        ),
        (
            is_wanted(&args.provenance),
            "`--provenance` has no effect: attestations are not made",
        ),
        (
            is_wanted(&args.sbom),
            "`--sbom` has no effect: attestations are not made",
        ),
        (
            !args.image.attest.is_empty(),
            "`--attest` has no effect: attestations are not made",
        ),
        (
            !args.image.cache_from.is_empty() || !args.image.cache_to.is_empty(),
            "`--cache-from` and `--cache-to` have no effect: steps come from the cache of this machine only",
        ),
    ];
    for (_, text) in told.iter().filter(|(is_given, _)| *is_given) {
        invocation.warn(text)?;
    }
    Ok(())
}

/// Reads `NAME=VALUE`, or `NAME` with the value of the environment; one that is not set is left out.
fn build_args(
    invocation: &Invocation,
    args: &[String],
) -> Result<std::collections::BTreeMap<String, String>, CommandError> {
    let mut found = std::collections::BTreeMap::new();
    for arg in args {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.as_str(), invocation.environment.get(arg)),
        };
        if name.is_empty() {
            return Err(CommandError::usage(format!(
                "`--build-arg {arg}` has no name: expected NAME or NAME=VALUE"
            )));
        }
        if let Some(value) = value {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(found)
}
