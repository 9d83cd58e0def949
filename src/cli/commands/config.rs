//! `config`: the line stops at the project, which is checked and written out.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::File;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, pretty_json};
use crate::cli::invocation::{Invocation, annotate_warnings, show_warnings};
use crate::cli::pin;
use crate::cli::select;
use crate::compose::render::{self, Format};
use crate::compose::{self, Project, Switches};
use crate::desired::{self, DesiredError};
use crate::report::{Output, VariableRow, write_variables};

/// Check the Compose files and write the project that they describe
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct ConfigArgs {
    /// Write only these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Write in this format [default: yaml, and a table for `--variables`]
    #[arg(long, value_name = "FORMAT")]
    format: Option<ConfigFormat>,

    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only check, write nothing
    #[arg(short, long)]
    quiet: bool,

    /// Only check, and write all mistakes and warnings: as text, or for editors with `--format json`
    #[arg(long, conflicts_with_all = ["output", "Part"])]
    check: bool,

    #[command(flatten)]
    part: Part,

    /// Name images by the digests that their registries have now
    #[arg(long, conflicts_with = "no_interpolate")]
    resolve_image_digests: bool,

    /// Write an override file that names images by the digests that their registries have now
    #[arg(long, conflicts_with = "no_interpolate")]
    lock_image_digests: bool,

    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,

    /// Leave out defaults and implicit values
    #[arg(long)]
    no_normalize: bool,

    /// Leave relative paths as they are written
    #[arg(long)]
    no_path_resolution: bool,

    /// Do not check that what services name exists
    #[arg(long)]
    no_consistency: bool,

    /// Leave `env_file` and variables without a value as they are written
    #[arg(long)]
    no_env_resolution: bool,
}

/// What is written instead of the whole project.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
struct Part {
    /// Write the names of the services
    #[arg(id = "only_services", long = "services")]
    services: bool,

    /// Write the names of the volumes
    #[arg(long)]
    volumes: bool,

    /// Write the names of the networks
    #[arg(long)]
    networks: bool,

    /// Write the names of the models
    #[arg(long)]
    models: bool,

    /// Write the names of the profiles
    #[arg(long)]
    profiles: bool,

    /// Write the names of the images
    #[arg(long)]
    images: bool,

    /// Write the variables that the files use, with their defaults
    #[arg(long)]
    variables: bool,

    /// Write the variables that are set while the files are read
    #[arg(long)]
    environment: bool,

    /// Write the hash of each of these services, `*` for all
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfigFormat {
    /// As a Compose file
    Yaml,
    /// JSON for programs
    Json,
}

impl From<ConfigFormat> for Format {
    fn from(format: ConfigFormat) -> Self {
        match format {
            ConfigFormat::Yaml => Self::Yaml,
            ConfigFormat::Json => Self::Json,
        }
    }
}

impl ConfigArgs {
    /// What a project is written as.
    fn whole_format(&self) -> Format {
        self.format.map_or(Format::Yaml, Format::from)
    }
}

/// Writes the project, or a part of it.
pub(in crate::cli) fn config(
    invocation: &Invocation,
    args: &ConfigArgs,
) -> Result<ExitStatus, CommandError> {
    if args.check {
        return check(invocation, args);
    }
    if args.part.variables {
        return variables(invocation, args);
    }
    if args.no_interpolate && !args.part.is_any() {
        let options = invocation.load_options(&args.services, switches(args));
        let (text, warnings) =
            render::uninterpolated(&options, invocation.source(), args.whole_format())
                .map_err(|error| CommandError::compose(invocation, error))?;
        show_warnings(invocation, &warnings)?;
        return hand_over(invocation, args, &text);
    }
    let mut switches = switches(args);
    // Lists need no content of `env_file`s, which need not even be there.
    switches.no_env_resolution |= args.part.is_any() && !args.part.environment;
    // Never freed: the process ends as soon as it is printed.
    let mut project = ManuallyDrop::new(invocation.load_with(&args.services, switches)?);
    if (args.resolve_image_digests || args.lock_image_digests) && !args.part.is_any() {
        pin::images(invocation, &mut project)?;
    }
    if !args.part.is_any() && !args.no_consistency {
        warn_of_refusals(invocation, &project)?;
    }
    match lines(&args.part, &project)? {
        Some(lines) => {
            let mut output = invocation.stdout();
            for line in lines {
                output.line(&line)?;
            }
            Ok(ExitStatus::Done)
        }
        None if args.lock_image_digests => {
            let text = render::images_only(&project, args.whole_format());
            hand_over(invocation, args, &text)
        }
        None => hand_over(
            invocation,
            args,
            &render::config(&project, args.whole_format()),
        ),
    }
}

/// Warns of what the files ask for and no container can have here: `up` refuses it.
fn warn_of_refusals(invocation: &Invocation, project: &Project) -> Result<(), CommandError> {
    let options = desired::Options {
        scale: BTreeMap::new(),
        source: invocation.source(),
    };
    let Err(refused) = desired::expand(project, &options) else {
        return Ok(());
    };
    for error in refused.0 {
        // Whether a file is there is of no interest before it is needed.
        if matches!(error, DesiredError::Content { .. }) {
            continue;
        }
        let cause = error.source().map(|cause| format!(": {cause}"));
        let place = error.place().map(|place| format!(" ({place})"));
        let (cause, place) = (cause.unwrap_or_default(), place.unwrap_or_default());
        invocation.warn(&format!("`up` refuses this: cannot {error}{cause}{place}"))?;
    }
    Ok(())
}

/// Writes what is to say about the files, and nothing else.
fn check(invocation: &Invocation, args: &ConfigArgs) -> Result<ExitStatus, CommandError> {
    let options = invocation.load_options(&args.services, switches(args));
    let loaded = compose::load(&options, invocation.source());
    let is_json = args.format == Some(ConfigFormat::Json);
    if is_json && !args.quiet {
        let report = match &loaded {
            Ok(loaded) => &loaded.warnings,
            Err(error) => &*error.report,
        };
        let text = pretty_json(&report.documents())?;
        invocation.stdout().bytes(text.as_bytes())?;
    }
    match loaded {
        Ok(loaded) if !is_json => {
            show_warnings(invocation, &loaded.warnings)?;
            warn_of_refusals(invocation, &loaded.project)?;
        }
        Ok(loaded) => annotate_warnings(invocation, &loaded.warnings)?,
        Err(error) if !is_json => return Err(CommandError::compose(invocation, error)),
        Err(error) => return Err(CommandError::compose_written(error)),
    }
    Ok(ExitStatus::Done)
}

impl Part {
    fn is_any(&self) -> bool {
        let Self {
            services,
            volumes,
            networks,
            models,
            profiles,
            images,
            ..
        } = *self;
        let Self {
            variables,
            environment,
            ref hash,
            ..
        } = *self;
        [
            services,
            volumes,
            networks,
            models,
            profiles,
            images,
            variables,
            environment,
        ]
        .contains(&true)
            || hash.is_some()
    }
}

/// Returns the lines of the part that is asked for; nothing when it is the whole.
fn lines(part: &Part, project: &Project) -> Result<Option<Vec<String>>, CommandError> {
    Ok(Some(match part {
        Part { services: true, .. } => render::services(project),
        Part { volumes: true, .. } => render::volumes(project),
        Part { networks: true, .. } => render::networks(project),
        Part { models: true, .. } => render::models(project),
        Part { profiles: true, .. } => render::profiles(project),
        Part { images: true, .. } => render::images(project),
        Part {
            environment: true, ..
        } => render::environment(project),
        Part {
            hash: Some(services),
            ..
        } => hashes(services, project)?,
        _ => return Ok(None),
    }))
}

fn hashes(wanted: &str, project: &Project) -> Result<Vec<String>, CommandError> {
    let names: Vec<&str> = match wanted {
        "*" => project.services.keys().map(String::as_str).collect(),
        list => list.split(',').map(str::trim).collect(),
    };
    let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
    names
        .into_iter()
        .map(|name| match project.services.get(name) {
            Some(service) => Ok(format!("{name} {}", render::service_hash(service))),
            None => Err(select::no_such_service(name, &known)),
        })
        .collect()
}

fn variables(invocation: &Invocation, args: &ConfigArgs) -> Result<ExitStatus, CommandError> {
    let options = invocation.load_options(&args.services, switches(args));
    let (variables, warnings) = render::variables(&options, invocation.source())
        .map_err(|error| CommandError::compose(invocation, error))?;
    show_warnings(invocation, &warnings)?;
    let rows: Vec<VariableRow> = variables
        .into_iter()
        .map(|variable| VariableRow {
            name: variable.name,
            required: variable.required,
            default_value: variable.default_value,
            presence_value: variable.alternate_value,
        })
        .collect();
    let mut output = invocation.stdout();
    match args.format {
        Some(ConfigFormat::Json) => {
            let by_name = rows.iter().map(|row| (&row.name, row));
            format::write_json(&mut output, &by_name.collect::<BTreeMap<_, _>>())?;
        }
        Some(ConfigFormat::Yaml) => output.bytes(variables_as_yaml(&rows).as_bytes())?,
        None => write_variables(&mut output, &rows)?,
    }
    Ok(ExitStatus::Done)
}

/// Writes variables under the keys that Docker Compose's YAML has.
fn variables_as_yaml(rows: &[VariableRow]) -> String {
    let row = |row: &VariableRow| {
        let value = json!({
            "name": row.name,
            "defaultvalue": row.default_value,
            "presencevalue": row.presence_value,
            "required": row.required,
        });
        (row.name.clone(), value)
    };
    render::to_yaml(&Value::Object(rows.iter().map(row).collect()))
}

/// Writes the text where it was asked for, if at all.
fn hand_over(
    invocation: &Invocation,
    args: &ConfigArgs,
    text: &str,
) -> Result<ExitStatus, CommandError> {
    match &args.output {
        _ if args.quiet => {}
        Some(file) => {
            let file = invocation.environment.working_directory().join(file);
            File::create(&file)
                .and_then(|mut open| open.write_all(text.as_bytes()))
                .map_err(|source| {
                    CommandError::cannot(format!("write `{}`", file.display()), source)
                })?;
        }
        None => {
            let mut output: Output = invocation.stdout();
            output.bytes(text.as_bytes())?;
        }
    }
    Ok(ExitStatus::Done)
}

fn switches(args: &ConfigArgs) -> Switches {
    Switches {
        no_interpolate: args.no_interpolate,
        no_normalize: args.no_normalize,
        no_path_resolution: args.no_path_resolution,
        no_consistency: args.no_consistency,
        no_env_resolution: args.no_env_resolution,
        no_label_resolution: false,
        all_resources: false,
        container_names: !args.part.is_any(),
    }
}
