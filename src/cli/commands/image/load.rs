//! `image load`: the images of a tar file into the store.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failed;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::value::Platform;

/// Take images from a tar file that `docker save` or an OCI tool has written
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Read this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Take the images for this platform
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,

    /// Write nothing about what was loaded
    #[arg(short, long)]
    quiet: bool,
}

/// Loads images.
pub(super) fn load(invocation: &Invocation, args: &LoadArgs) -> Result<ExitStatus, CommandError> {
    let engine = invocation.embedded()?;
    let store = engine.images();
    let platform = args.platform.as_ref();
    let loaded = match &args.input {
        Some(file) => {
            let path = invocation.environment.working_directory().join(file);
            store.load(&path, platform)
        }
        None => store.load_stream(Path::new("standard input"), io::stdin().lock(), platform),
    };
    let mut output = invocation.stdout();
    for image in loaded.map_err(failed)? {
        if args.quiet {
            continue;
        }
        if image.names.is_empty() {
            output.line(&format!("Loaded image ID: {}", image.id))?;
        }
        for name in &image.names {
            output.line(&format!("Loaded image: {name}"))?;
        }
    }
    Ok(ExitStatus::Done)
}
