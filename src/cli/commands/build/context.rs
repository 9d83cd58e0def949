//! The words that name contexts: the positional one and those of `--build-context`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::runtime::build::graph::ContextName;
use crate::runtime::build::order::{ContextPlace, DockerfilePlace, NamedPlace};
use crate::value::ImageRef;

/// The largest context that is read from standard input.
const INPUT_LIMIT_BYTES: u64 = 4 << 30;

/// Reads the context and the place of its Dockerfile.
pub(super) fn read(
    invocation: &Invocation,
    word: &str,
    file: Option<&Path>,
) -> Result<(ContextPlace, DockerfilePlace), CommandError> {
    let here = invocation.environment.working_directory();
    if file == Some(Path::new("-")) {
        if word == "-" {
            return Err(CommandError::usage(
                "standard input cannot be both the context and the Dockerfile",
            ));
        }
        let text = String::from_utf8_lossy(&input()?).into_owned();
        return Ok((place(here, word)?, DockerfilePlace::Text(text)));
    }
    if word == "-" {
        let bytes = input()?;
        if !is_archive(&bytes) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok((ContextPlace::Nothing, DockerfilePlace::Text(text)));
        }
        return Ok((ContextPlace::Archive(bytes), in_context(file)));
    }
    let place = place(here, word)?;
    let dockerfile = match (&place, file) {
        (ContextPlace::Folder(_), Some(file)) => DockerfilePlace::File(here.join(file)),
        (_, file) => in_context(file),
    };
    Ok((place, dockerfile))
}

fn place(here: &Path, word: &str) -> Result<ContextPlace, CommandError> {
    ContextPlace::read(here, word).map_err(|error| CommandError::room(ExitStatus::Failed, error))
}

fn in_context(file: Option<&Path>) -> DockerfilePlace {
    match file {
        Some(file) => DockerfilePlace::InContext(file.to_owned()),
        None => DockerfilePlace::Usual,
    }
}

fn input() -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(INPUT_LIMIT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|source| CommandError::cannot("read standard input", source))?;
    Ok(bytes)
}

/// Tells an archive from a Dockerfile by its first bytes.
fn is_archive(bytes: &[u8]) -> bool {
    const COMPRESSED: [&[u8]; 4] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
    ];
    COMPRESSED.iter().any(|start| bytes.starts_with(start))
        || bytes.get(257..262) == Some(b"ustar".as_slice())
}

/// Reads `NAME=PLACE`s.
pub(super) fn named(
    invocation: &Invocation,
    written: &[String],
) -> Result<BTreeMap<ContextName, NamedPlace>, CommandError> {
    let here = invocation.environment.working_directory();
    let mut found = BTreeMap::new();
    for text in written {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .ok_or_else(|| {
                CommandError::usage(format!("invalid context value: {text}, expected key=value"))
            })?;
        if !matches!(name.parse::<ImageRef>(), Ok(ImageRef::Registry(_))) {
            let text =
                format!("invalid context name `{name}`: it must be lower case, as an image's name");
            return Err(CommandError::usage(text));
        }
        let place = NamedPlace::read(here, value)
            .map_err(|error| CommandError::room(ExitStatus::Failed, error))?;
        found.insert(ContextName::of(name), place);
    }
    Ok(found)
}
