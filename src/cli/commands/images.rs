//! `images`: what the project's containers were made from.

use clap::Args;

use crate::cli::complete;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::engine::Engine;
use crate::observed::{ImageQuery, ObservedContainer, ObservedImage, Refresh, Scope};
use crate::report::{ImageRow, write_images};
use crate::value::ProjectName;

/// List the images of the project's containers
#[derive(Debug, Args)]
pub(in crate::cli) struct ImagesArgs {
    /// List only the images of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Write `table`, `json`, or a template such as `{{.Repository}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Write the ids only
    #[arg(short, long)]
    quiet: bool,
}

/// Lists images.
pub(in crate::cli) fn images(
    invocation: &Invocation,
    args: &ImagesArgs,
) -> Result<ExitStatus, CommandError> {
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    let mut containers = select::containers(&target, &observed, &args.services)?;
    containers.sort_by_key(|container| &container.name);
    let images = block_on(found(engine.as_ref(), &target.name, &containers))?;
    let rows: Vec<ImageRow> = containers
        .into_iter()
        .map(|container| {
            ImageRow::new(
                container,
                images.iter().find(|image| image.id == container.image_id),
            )
        })
        .collect();
    let mut output = invocation.stdout();
    if args.quiet {
        let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            output.line(id.strip_prefix("sha256:").unwrap_or(id))?;
        }
        return Ok(ExitStatus::Done);
    }
    match format::rows_with_fields(args.format.as_deref())? {
        Rows::Table => write_images(&mut output, &rows, environment::now())?,
        Rows::Json => format::write_json(&mut output, &rows)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}

/// Returns what is known of the containers' images: those with a name here, and the folders that stand for images.
async fn found(
    engine: &dyn Engine,
    project: &ProjectName,
    containers: &[&ObservedContainer],
) -> Result<Vec<ObservedImage>, CommandError> {
    let mut images = engine.images().await?;
    let mut scope = Scope::project(project.clone());
    for container in containers {
        let is_known = images.iter().any(|image| image.id == container.image_id);
        if let (false, Ok(reference)) = (is_known, container.image.parse()) {
            scope.images.push(ImageQuery {
                reference,
                platform: None,
                refresh: Refresh::No,
            });
        }
    }
    if !scope.images.is_empty() {
        images.extend(engine.observe(&scope).await?.images.into_values());
    }
    Ok(images)
}
