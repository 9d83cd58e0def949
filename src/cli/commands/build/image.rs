//! One image from a context, with the options of `docker build`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::output::{Destination, Output};
use super::shown::{Reporter, Shown};
use super::{BuildArgs, build_args, context, grant, host, lint, output, shown};
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::report::ProgressStyle;
use crate::runtime::build::order::Order;
use crate::runtime::build::request::{CacheSkip, CacheUse, Request, RunSettings};
use crate::runtime::build::{Archive, Bases, Built, Workshop, execute, resolve};
use crate::runtime::git::Git;
use crate::value::{ByteSize, ImageRef, Platform, RegistryRef};

/// The variable, and the build argument, that sets the time of an image.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Options that only a single image can have.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// Name the image; repeat it for several names
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,

    /// Read this Dockerfile instead of the context's; `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Build this stage instead of the last one
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,

    /// Let steps use a secret: `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,

    /// Add a named context: `NAME=FOLDER`, `NAME=URL`, `NAME=docker-image://IMAGE`, `NAME=oci-layout://DIR`
    #[arg(long = "build-context", value_name = "NAME=PLACE")]
    contexts: Vec<String>,

    /// Build for this platform
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    platforms: Vec<String>,

    /// Set a label of the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Write the result: `DIR`, `type=oci|docker|tar,dest=FILE`, `type=local,dest=DIR`
    #[arg(short, long = "output", value_name = "OUTPUT")]
    outputs: Vec<String>,

    /// Write the image's id into this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,

    /// Write what was built into this file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,

    /// Let steps know a host: `NAME:ADDRESS`
    #[arg(long = "add-host", value_name = "NAME:ADDRESS")]
    add_hosts: Vec<String>,

    /// The network of steps: `default`, `none` or `host`
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,

    /// The size of /dev/shm in steps
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<ByteSize>,

    /// Limit what processes of steps may use: `NAME=SOFT:HARD`
    #[arg(long = "ulimit", value_name = "LIMIT")]
    ulimits: Vec<String>,

    /// The parent cgroup of steps
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,

    /// Give steps a freedom: `network.host`, `security.insecure`
    #[arg(long = "allow", value_name = "FREEDOM", value_delimiter = ',')]
    allowed: Vec<String>,

    /// Do the steps of these stages again
    #[arg(long = "no-cache-filter", value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,

    /// Take steps from this cache too
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_from: Vec<String>,

    /// Write steps to this cache too
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_to: Vec<String>,

    /// What is done: `build` or `check`
    #[arg(long, value_name = "METHOD")]
    call: Option<String>,

    /// Keep the image in the store, as is done anyway
    #[arg(long, hide = true)]
    load: bool,

    /// As Docker has it; attestations are not made
    #[arg(long, hide = true, value_name = "KIND")]
    pub(super) attest: Vec<String>,
}

impl ImageArgs {
    /// Says whether an option was given that services cannot have.
    pub(super) fn is_any_given(&self) -> bool {
        let lists = [
            &self.tags,
            &self.secrets,
            &self.contexts,
            &self.platforms,
            &self.labels,
            &self.outputs,
            &self.add_hosts,
            &self.ulimits,
            &self.allowed,
            &self.no_cache_filter,
            &self.cache_from,
            &self.cache_to,
            &self.attest,
        ];
        let texts = [&self.target, &self.network, &self.cgroup_parent, &self.call];
        let files = [&self.file, &self.iidfile, &self.metadata_file];
        lists.iter().any(|list| !list.is_empty())
            || texts.iter().any(|text| text.is_some())
            || files.iter().any(|file| file.is_some())
            || self.shm_size.is_some()
            || self.load
    }
}

/// Builds one image.
pub(super) fn build(invocation: &Invocation, args: &BuildArgs) -> Result<ExitStatus, CommandError> {
    let is_check = match args.image.call.as_deref() {
        None | Some("build") => args.check,
        Some("check" | "lint") => true,
        Some(other) => {
            return Err(
                CommandError::user(format!("`--call {other}` is not supported"))
                    .hint("known: build, check"),
            );
        }
    };
    let [word] = args.words.as_slice() else {
        let text = "building an image takes exactly one context: a folder, a URL or `-`";
        return Err(CommandError::usage(text).hint("`consort build .` builds this folder"));
    };
    let outputs: Vec<Output> = args
        .image
        .outputs
        .iter()
        .map(|text| output::read(invocation, text))
        .collect::<Result<_, _>>()?;
    let names = names(args, &outputs)?;
    let order = order(invocation, args, word)?;
    let engine = invocation.embedded()?;
    let is_quiet = args.quiet
        || args.progress.as_deref() == Some("quiet")
        || invocation.progress_style() == ProgressStyle::Quiet;
    let shown = if is_quiet {
        Shown::Nothing
    } else {
        Shown::Steps
    };
    let reporter = Reporter::new(invocation.stderr(), shown);
    let git = Git::new(invocation.environment.variables());
    let mut workshop = engine.workshop(reporter.events());
    workshop.git = Some(git.clone());
    if args.pull {
        workshop.bases = Bases::All;
    }
    let scratch = engine.scratch("build");
    let prepared = crate::runtime::build::prepare(&order, scratch, &git)
        .map_err(|error| CommandError::cannot("build the image", error))?;
    let [request] = prepared.requests.as_slice() else {
        return Err(
            CommandError::user("an image is built for one platform at a time")
                .hint("run the build once for each `--platform`"),
        );
    };
    block_on(async {
        if is_check {
            return lint::check(invocation, request, &workshop).await;
        }
        if args.print {
            return lint::print(invocation, request, &workshop).await;
        }
        let built = run(invocation, request, (&workshop, &reporter)).await?;
        finish(invocation, args, (&workshop, &built), (&outputs, &names))?;
        Ok(ExitStatus::Done)
    })
}

/// Resolves and executes a request.
async fn run(
    invocation: &Invocation,
    request: &Request,
    (workshop, reporter): (&Workshop, &Reporter),
) -> Result<Built, CommandError> {
    let failed = |error| shown::failed(invocation, &request.dockerfile, error);
    let resolved = resolve::resolve(request, workshop).await.map_err(failed)?;
    let graph = Arc::new(resolved.graph);
    reporter.begin(&graph);
    let request = Arc::new(request.clone());
    let built = execute(workshop, &graph, &request).await;
    let built = built.map_err(failed)?;
    if reporter.is_shown() {
        shown::warnings(invocation, &resolved.warnings)?;
    }
    Ok(built)
}

/// Names the image and writes it where it is wanted.
fn finish(
    invocation: &Invocation,
    args: &BuildArgs,
    (workshop, built): (&Workshop, &Built),
    (outputs, names): (&[Output], &[RegistryRef]),
) -> Result<(), CommandError> {
    let failed = |error| CommandError::cannot("keep the image", error);
    for output in outputs {
        export(workshop, built, output, names)?;
    }
    let is_only_exported = names.is_empty()
        && !outputs.is_empty()
        && !outputs
            .iter()
            .any(|output| matches!(output, Output::Store { .. }));
    if !is_only_exported {
        let _id = workshop.keep(built, names).map_err(failed)?;
    }
    let id = built.id.to_string();
    if let Some(file) = &args.image.iidfile {
        write_file(invocation, file, id.as_bytes())?;
    }
    if let Some(file) = &args.image.metadata_file {
        let names: Vec<String> = names.iter().map(RegistryRef::canonical).collect();
        let mut metadata = serde_json::json!({ "containerimage.config.digest": id });
        if !names.is_empty() {
            metadata["image.name"] = names.join(",").into();
        }
        let text = serde_json::to_vec_pretty(&metadata);
        let text = text.map_err(|source| CommandError::cannot("write the metadata", source))?;
        write_file(invocation, file, &text)?;
    }
    if args.quiet {
        invocation.stdout().line(&id)?;
    } else {
        let mut output = invocation.stderr();
        output.line(&format!("built {id}"))?;
        for name in names {
            output.line(&format!("named {}", ImageRef::Registry(name.clone())))?;
        }
    }
    Ok(())
}

fn write_file(invocation: &Invocation, file: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let path = invocation.environment.working_directory().join(file);
    let written = File::create(&path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| CommandError::cannot(format!("write `{}`", path.display()), source))
}

fn export(
    workshop: &Workshop,
    built: &Built,
    output: &Output,
    names: &[RegistryRef],
) -> Result<(), CommandError> {
    let failed = |error| CommandError::cannot("write the image", error);
    let (archive, destination) = match output {
        Output::Store { .. } => return Ok(()),
        Output::Folder(folder) => return workshop.files(built, folder).map_err(failed),
        Output::OciArchive(destination) | Output::DockerArchive(destination) => {
            (Archive::Image, destination)
        }
        Output::Archive(destination) => (Archive::Files, destination),
    };
    let mut sink: Box<dyn Write> = match destination {
        Destination::Stdout => Box::new(io::stdout().lock()),
        Destination::File(path) => {
            let file = File::create(path).map_err(|source| {
                CommandError::cannot(format!("write `{}`", path.display()), source)
            })?;
            Box::new(BufWriter::new(file))
        }
    };
    workshop
        .archive(built, archive, names, &mut sink)
        .map_err(failed)?;
    sink.flush()
        .map_err(|source| CommandError::cannot("write the image", source))
}

/// The names that the image gets.
fn names(args: &BuildArgs, outputs: &[Output]) -> Result<Vec<RegistryRef>, CommandError> {
    let of_outputs = outputs.iter().flat_map(|output| match output {
        Output::Store { names } => names.as_slice(),
        Output::OciArchive(_)
        | Output::DockerArchive(_)
        | Output::Folder(_)
        | Output::Archive(_) => &[],
    });
    let name = |text: &String| match text.parse() {
        Ok(ImageRef::Registry(name)) if name.digest().is_none() => Ok(name),
        Ok(_) => Err(CommandError::usage(format!(
            "`{text}` is not a name for an image"
        ))),
        Err(error) => Err(CommandError::room(ExitStatus::Usage, error)),
    };
    args.image.tags.iter().chain(of_outputs).map(name).collect()
}

fn order(invocation: &Invocation, args: &BuildArgs, word: &str) -> Result<Order, CommandError> {
    let image = &args.image;
    let environment = &invocation.environment;
    let (context, dockerfile) = context::read(invocation, word, image.file.as_deref())?;
    let build_args = build_args(invocation, &args.variables)?;
    let network = host::network(image.network.as_deref())?;
    let platforms = image.platforms.iter().map(|text| text.parse::<Platform>());
    let platforms: Result<Vec<Platform>, _> = platforms.collect();
    Ok(Order {
        context,
        dockerfile,
        target: image.target.clone(),
        labels: labels(&image.labels),
        platforms: platforms.map_err(|error| CommandError::room(ExitStatus::Usage, error))?,
        named: context::named(invocation, &image.contexts)?,
        run: RunSettings {
            network,
            extra_hosts: host::extra_hosts(&image.add_hosts)?,
            shm_size_bytes: image
                .shm_size
                .and_then(|size| u64::try_from(size.bytes()).ok()),
            ulimits: host::ulimits(&image.ulimits)?,
            cgroup_parent: image.cgroup_parent.clone(),
            secrets: grant::secrets(environment, &image.secrets)?,
            ssh: grant::agents(environment, &args.ssh)?,
            entitlements: host::entitlements(&image.allowed, network)?,
        },
        cache: CacheUse {
            skip: match args.no_cache {
                true => CacheSkip::Everything,
                false if image.no_cache_filter.is_empty() => CacheSkip::Nothing,
                false => CacheSkip::Stages(image.no_cache_filter.iter().cloned().collect()),
            },
            from: image.cache_from.clone(),
            to: image.cache_to.clone(),
        },
        epoch: epoch(invocation, &build_args)?,
        args: build_args,
    })
}

fn labels(written: &[String]) -> BTreeMap<String, String> {
    let pairs = written.iter();
    let pairs = pairs.map(|text| text.split_once('=').unwrap_or((text, "")));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The time that the image gets: the argument's, else the environment's.
pub(super) fn epoch(
    invocation: &Invocation,
    args: &BTreeMap<String, String>,
) -> Result<Option<i64>, CommandError> {
    let given = args.get(EPOCH).map(String::as_str);
    let text = given.or_else(|| invocation.environment.get(EPOCH));
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => Err(CommandError::user(format!(
            "invalid {EPOCH} `{text}`: expected seconds since 1970"
        ))),
    }
}
