//! `image ls`: the images of the store.

use clap::Args;

use super::{failed, rows};
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::format::{self, Rows};
use crate::cli::invocation::Invocation;
use crate::report::{DigestColumn, Truncation, write_stored_images};
use crate::runtime::image::{Store, StoredImage};
use crate::value::ImageRef;

/// List images
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(super) struct ListArgs {
    /// List only the images of this repository, or with this tag; `*` stands for anything
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,

    /// List all images; as Docker has it, there are no hidden ones here
    #[arg(short, long)]
    all: bool,

    /// Show digests
    #[arg(long)]
    digests: bool,

    /// List only what fits: `dangling=true`, `label=KEY[=VALUE]`, `reference=PATTERN`, `before=IMAGE`, `since=IMAGE`
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,

    /// Write `table`, `json`, or a template such as `{{.Repository}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Do not shorten ids
    #[arg(long)]
    no_trunc: bool,

    /// Write the ids only
    #[arg(short, long)]
    quiet: bool,
}

/// Lists images.
pub(super) fn list(invocation: &Invocation, args: &ListArgs) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let mut images = engine.images().images().map_err(failed)?;
    for filter in &args.filters {
        images = filtered(images, filter, engine.images())?;
    }
    let now = environment::now();
    let truncation = if args.no_trunc {
        Truncation::Full
    } else {
        Truncation::Short
    };
    let mut rows = Vec::new();
    for image in &images {
        rows.extend(rows::of_image(image, now, truncation));
    }
    if let Some(wanted) = &args.repository {
        rows.retain(|row| fits(wanted, &row.repository, &row.tag));
    }
    for filter in &args.filters {
        if let Some(wanted) = filter.strip_prefix("reference=") {
            rows.retain(|row| fits(wanted, &row.repository, &row.tag));
        }
    }
    let mut output = invocation.stdout();
    if args.quiet {
        let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        ids.dedup();
        for id in ids {
            output.line(id)?;
        }
        return Ok(ExitStatus::Done);
    }
    let digests = if args.digests {
        DigestColumn::Shown
    } else {
        DigestColumn::Hidden
    };
    match Rows::from_flag(args.format.as_deref())? {
        Rows::Table => write_stored_images(&mut output, &rows, digests)?,
        Rows::Json => format::write_rows(&mut output, &rows, None)?,
        Rows::Template(template) => format::write_rows(&mut output, &rows, Some(&template))?,
    }
    Ok(ExitStatus::Done)
}

fn filtered(
    images: Vec<StoredImage>,
    filter: &str,
    store: &Store,
) -> Result<Vec<StoredImage>, CommandError> {
    let Some((key, value)) = filter.split_once('=') else {
        return Err(CommandError::usage(format!(
            "`--filter {filter}` has no `=`"
        )));
    };
    let keep: Box<dyn Fn(&StoredImage) -> bool> = match key {
        "dangling" => {
            let wanted = super::prune::truth(value)?;
            Box::new(move |image| image.names.is_empty() == wanted)
        }
        "label" => Box::new(move |image| super::prune::has_label(image, value)),
        "reference" => Box::new(|_| true),
        "before" | "since" => {
            let other = store.lookup(value).map_err(failed)?.image;
            let is_before = key == "before";
            Box::new(move |image| {
                image.id != other.id && (image.created < other.created) == is_before
            })
        }
        _ => {
            return Err(CommandError::usage(format!(
                "`--filter {key}` is not known"
            )));
        }
    };
    Ok(images.into_iter().filter(|image| keep(image)).collect())
}

/// Says whether a name fits a pattern that may lack the tag.
fn fits(pattern: &str, repository: &str, tag: &str) -> bool {
    let (wanted, wanted_tag) = match pattern.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (pattern, None),
    };
    let familiar = match wanted.parse::<ImageRef>() {
        Ok(ImageRef::Registry(name)) if !wanted.contains('*') => name.familiar_name(),
        Ok(_) | Err(_) => wanted.to_owned(),
    };
    glob(familiar.as_bytes(), repository.as_bytes())
        && wanted_tag.is_none_or(|wanted| glob(wanted.as_bytes(), tag.as_bytes()))
}

/// Matches `*` (anything but a slash) and `?`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if glob(rest, text) => true,
        (Some((b'*', _)), Some((&first, after))) => first != b'/' && glob(pattern, after),
        (Some((b'?', rest)), Some((&first, after))) => first != b'/' && glob(rest, after),
        (Some((wanted, rest)), Some((first, after))) => wanted == first && glob(rest, after),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_means_all_tags() {
        assert!(fits("busybox", "busybox", "1.36"));
        assert!(fits("docker.io/library/busybox:1.36", "busybox", "1.36"));
        assert!(fits("busy*:1.*", "busybox", "1.36"));
        assert!(!fits("busybox:2", "busybox", "1.36"));
        assert!(!fits("*", "team/app", "1"));
        assert!(fits("team/*", "team/app", "1"));
    }
}
