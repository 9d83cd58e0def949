//! `image save`: images of the store into one tar file.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::failed;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::runtime::image::{ImageError, Match, Saved, Store};
use crate::value::ImageRef;

/// Write images into a tar file that `docker load` and OCI tools read
#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// Save these images; a repository without a tag means all its tags
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Saves images.
pub(super) fn save(invocation: &Invocation, args: &SaveArgs) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let store = engine.images();
    let mut found: Vec<Match> = Vec::new();
    for text in &args.images {
        for one in matches(store, text)? {
            found.push(one);
        }
    }
    let mut saved: Vec<Saved<'_>> = Vec::new();
    for one in &found {
        let known = saved
            .iter_mut()
            .find(|it| it.image.manifest == one.image.manifest);
        match known {
            Some(known) => known.names.extend(one.name.clone()),
            None => saved.push(Saved {
                image: &one.image,
                names: one.name.iter().cloned().collect(),
            }),
        }
    }
    for one in &mut saved {
        one.names.sort();
        one.names.dedup();
    }
    match &args.output {
        Some(file) => {
            let path = invocation.environment.working_directory().join(file);
            write_file(store, &saved, &path)?;
        }
        None if io::stdout().is_terminal() => {
            let error = CommandError::usage("an image is not written to a terminal");
            return Err(error.hint("name a file with `-o`, or redirect the output"));
        }
        None => {
            let output = BufWriter::new(io::stdout().lock());
            store.save(&saved, output).map_err(failed)?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Finds an image, or all tags of a repository that is named without one.
fn matches(store: &Store, text: &str) -> Result<Vec<Match>, CommandError> {
    let has_tag = text
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains([':', '@']));
    if !has_tag && let Ok(ImageRef::Registry(wanted)) = text.parse::<ImageRef>() {
        let mut found = Vec::new();
        for image in store.images().map_err(failed)? {
            let names = image.names.iter().filter(|name| match name {
                ImageRef::Registry(name) => name.familiar_name() == wanted.familiar_name(),
                ImageRef::Local(_) => false,
            });
            found.extend(names.map(|name| Match {
                image: image.clone(),
                name: Some(name.clone()),
            }));
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(vec![store.lookup(text).map_err(failed)?])
}

/// Writes beside the file and renames: a failed save leaves what was there.
fn write_file(store: &Store, saved: &[Saved<'_>], path: &Path) -> Result<(), CommandError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    let new = path.with_file_name(name);
    let written = |error: io::Error| {
        failed(ImageError::Write {
            path: path.to_owned(),
            source: error,
        })
    };
    if path.exists() && !path.is_file() {
        let file = File::options().write(true).open(path).map_err(written)?;
        return store.save(saved, BufWriter::new(file)).map_err(failed);
    }
    let file = File::create(&new).map_err(written)?;
    let saved = store.save(saved, BufWriter::with_capacity(1 << 20, file));
    if let Err(error) = saved {
        drop(fs::remove_file(&new));
        return Err(failed(error));
    }
    fs::rename(&new, path).map_err(written)
}
