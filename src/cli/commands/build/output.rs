//! `--output`: what is made of the image beside the store's copy.

use std::path::PathBuf;

use crate::cli::error::CommandError;
use crate::cli::invocation::Invocation;

/// One output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// The image stays in the store, as it does anyway.
    Store {
        /// Further names.
        names: Vec<String>,
    },
    /// A tar file of an OCI layout.
    OciArchive(Destination),
    /// A tar file as `docker save` writes it.
    DockerArchive(Destination),
    /// The files of the image in a folder.
    Folder(PathBuf),
    /// The files of the image in a tar file.
    Archive(Destination),
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Stdout,
    File(PathBuf),
}

/// Reads `DEST` and `type=…,dest=…`.
pub(super) fn read(invocation: &Invocation, text: &str) -> Result<Output, CommandError> {
    let here = invocation.environment.working_directory();
    let file = |dest: Option<&str>| match dest {
        None | Some("-") => Destination::Stdout,
        Some(dest) => Destination::File(here.join(dest)),
    };
    if !text.contains('=') {
        return Ok(match text {
            "-" => Output::Archive(Destination::Stdout),
            dest => Output::Folder(here.join(dest)),
        });
    }
    let refuse = |reason: String| {
        CommandError::usage(format!("`--output {text}`: {reason}")).hint(
            "write `--output type=oci,dest=FILE`; known types: image, oci, docker, tar, local",
        )
    };
    let (mut kind, mut dest, mut names) = (None, None, Vec::new());
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| refuse(format!("expected key=value, not `{field}`")))?;
        match key {
            "type" => kind = Some(value),
            "dest" => dest = Some(value),
            "name" => names.push(value.to_owned()),
            // The one form that is written.
            "tar" if value == "true" => {}
            "push" if value == "false" => {}
            "oci-mediatypes"
            | "compression"
            | "force-compression"
            | "compression-level"
            | "rewrite-timestamp"
            | "unpack"
            | "store"
            | "name-canonical"
            | "dangling-name-prefix"
            | "annotation"
            | "buildinfo"
            | "platform-split" => {
                return Err(refuse(format!("`{key}` is not supported")));
            }
            other => return Err(refuse(format!("unknown key `{other}`"))),
        }
    }
    match kind {
        Some("oci") => Ok(Output::OciArchive(file(dest))),
        Some("docker") if dest.is_none() => Ok(Output::Store { names }),
        Some("docker") => Ok(Output::DockerArchive(file(dest))),
        Some("tar") => Ok(Output::Archive(file(dest))),
        Some("local") => {
            let dest = dest.ok_or_else(|| refuse("it has no `dest`".to_owned()))?;
            Ok(Output::Folder(here.join(dest)))
        }
        Some("image") => Ok(Output::Store { names }),
        Some("cacheonly") => Ok(Output::Store { names: Vec::new() }),
        Some(other) => Err(refuse(format!("type `{other}` is not supported"))),
        None => Err(refuse("it has no type".to_owned())),
    }
}
