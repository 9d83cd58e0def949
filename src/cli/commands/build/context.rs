//! The words that name contexts: the positional one and those of `--build-context`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::cli::error::CommandError;
use crate::cli::invocation::Invocation;
use crate::runtime::build::graph::ContextName;
use crate::runtime::build::order::{ContextPlace, DockerfilePlace, NamedPlace};
use crate::value::{GitSource, ImageRef, LocalImage};

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

fn in_context(file: Option<&Path>) -> DockerfilePlace {
    match file {
        Some(file) => DockerfilePlace::InContext(file.to_owned()),
        None => DockerfilePlace::Usual,
    }
}

/// Reads a context that is not standard input.
pub(in crate::cli) fn place(here: &Path, word: &str) -> Result<ContextPlace, CommandError> {
    if !GitSource::is_meant(word) {
        return Ok(ContextPlace::Folder(here.join(word)));
    }
    let is_http = word.starts_with("http://") || word.starts_with("https://");
    let address = word.split('#').next().unwrap_or_default();
    if is_http && address.strip_suffix(".git").is_none() {
        return Err(
            CommandError::user(format!("`{word}` is not the URL of a repository"))
                .hint("end it with `.git`; archives behind URLs are not supported as contexts yet"),
        );
    }
    git(word).map(ContextPlace::Git)
}

fn git(word: &str) -> Result<GitSource, CommandError> {
    word.parse().map_err(|error| {
        CommandError::cannot(
            "use the context",
            Box::new(error) as Box<crate::value::GitSourceError>,
        )
    })
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
        found.insert(ContextName::of(name), named_place(here, name, value)?);
    }
    Ok(found)
}

/// Reads what a named context stands for.
pub(in crate::cli) fn named_place(
    here: &Path,
    name: &str,
    value: &str,
) -> Result<NamedPlace, CommandError> {
    let refuse = |reason: String| CommandError::user(format!("build context `{name}`: {reason}"));
    if let Some(image) = value.strip_prefix("docker-image://") {
        let image = image.parse::<ImageRef>();
        return image
            .map(NamedPlace::Image)
            .map_err(|error| refuse(error.to_string()));
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        return Ok(NamedPlace::Image(ImageRef::Local(oci(here, layout))));
    }
    if let Some(target) = value.strip_prefix("target:") {
        return Err(refuse(format!("there is no target `{target}`")));
    }
    if GitSource::is_meant(value) {
        return git(value).map(NamedPlace::Git);
    }
    let folder = here.join(value);
    if !folder.is_dir() {
        return Err(refuse(format!("`{value}` is not a folder")));
    }
    Ok(NamedPlace::Folder(folder))
}

/// Reads `DIR[:TAG][@DIGEST]`.
fn oci(here: &Path, layout: &str) -> LocalImage {
    let (path, digest) = match layout.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (layout, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    LocalImage::Oci {
        dir: here.join(PathBuf::from(path)),
        tag: digest.or(tag).map(str::to_owned),
    }
}
