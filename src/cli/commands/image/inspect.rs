//! `image inspect`: all that is known of images, in the shape that Docker has for it.

use clap::Args;
use serde_json::{Value, json};

use super::failed;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::report::JsonRow;
use crate::runtime::image::StoredImage;
use crate::value::ImageRef;

/// Show all that is known of images
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Show these images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,

    /// Write `json`, or a template such as `{{.Config.Cmd}}`
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Shows images; those that are not there are named after the others.
pub(super) fn inspect(
    invocation: &Invocation,
    args: &InspectArgs,
) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for text in &args.images {
        match engine.images().lookup(text) {
            Ok(found) => documents.push(document(&found.image)),
            Err(error) => errors.push(failed(error)),
        }
    }
    let mut output = invocation.stdout();
    match Rows::from_flag(args.format.as_deref())? {
        Rows::Table => {
            let text = format::pretty_json(&documents)?;
            output.bytes(text.as_bytes())?;
        }
        Rows::Json => format::write_json(&mut output, &documents)?,
        Rows::Template(template) => {
            let rows: Vec<JsonRow> = documents.into_iter().map(JsonRow).collect();
            format::write_rows(&mut output, &rows, Some(&template))?;
        }
    }
    if errors.is_empty() {
        return Ok(ExitStatus::Done);
    }
    Err(CommandError::several(ExitStatus::Failed, errors))
}

/// Returns an image as Docker's API describes it.
fn document(image: &StoredImage) -> Value {
    let config = image.document.get("config").cloned().unwrap_or(json!({}));
    let names: Vec<String> = image
        .names
        .iter()
        .filter(|name| matches!(name, ImageRef::Registry(_)))
        .map(ToString::to_string)
        .collect();
    let text = |key: &str| {
        image
            .document
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    let layers: Vec<String> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let mut document = json!({
        "Id": image.id,
        "RepoTags": names,
        "RepoDigests": image.repo_digests,
        "Parent": "",
        "Comment": text("comment"),
        "Created": image.created,
        "DockerVersion": text("docker_version"),
        "Author": text("author"),
        "Config": config,
        "Architecture": text("architecture"),
        "Os": text("os"),
        "Size": image.size_bytes,
        "GraphDriver": {"Data": null, "Name": "overlayfs"},
        "RootFS": {"Type": "layers", "Layers": layers},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
    });
    if let Some(fields) = document.as_object_mut()
        && !text("variant").is_empty()
    {
        drop(fields.insert("Variant".to_owned(), json!(text("variant"))));
    }
    document
}
