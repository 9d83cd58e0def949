//! What `image:` says: a name in a registry, or a place on this disk that holds an image.
//!
//! Names follow Docker's reference grammar: `redis` means `docker.io/library/redis:latest`. The local
//! forms are `rootfs:DIR`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` and `docker-archive:FILE[:TAG]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::as_text::as_text;
use super::digest::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
/// The longest name, registry and repository together, that Docker accepts.
const NAME_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{text}` as an image reference: {expected}")]
pub struct ImageRefError {
    text: String,
    expected: &'static str,
}

/// An image, by name or by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageRef {
    /// A name that a registry answers for.
    Registry(RegistryRef),
    /// A place on this disk.
    Local(LocalImage),
}

/// A name in a registry, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// An image that lies on this disk; `tag` chooses among several in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocalImage {
    /// A directory that is a root filesystem.
    Rootfs(PathBuf),
    /// An OCI image layout.
    Oci {
        /// The layout's directory.
        dir: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
    /// A tar file of an OCI image layout.
    OciArchive {
        /// The tar file.
        file: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
    /// A tar file as `docker save` writes it.
    DockerArchive {
        /// The tar file.
        file: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
}

impl ImageRef {
    /// Makes a relative place absolute; names stay as they are.
    #[must_use]
    pub fn resolve_against(&self, base: &Path) -> Self {
        let Self::Local(local) = self else {
            return self.clone();
        };
        let mut local = local.clone();
        let path = local.path_mut();
        *path = base.join(&*path);
        Self::Local(local)
    }
}

impl LocalImage {
    /// Returns the directory or file that holds the image.
    pub fn path(&self) -> &Path {
        match self {
            Self::Rootfs(path)
            | Self::Oci { dir: path, .. }
            | Self::OciArchive { file: path, .. }
            | Self::DockerArchive { file: path, .. } => path,
        }
    }

    /// Returns the tag that chooses one of several images.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Rootfs(_) => None,
            Self::Oci { tag, .. }
            | Self::OciArchive { tag, .. }
            | Self::DockerArchive { tag, .. } => tag.as_deref(),
        }
    }

    fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Rootfs(path)
            | Self::Oci { dir: path, .. }
            | Self::OciArchive { file: path, .. }
            | Self::DockerArchive { file: path, .. } => path,
        }
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::Rootfs(_) => "rootfs",
            Self::Oci { .. } => "oci",
            Self::OciArchive { .. } => "oci-archive",
            Self::DockerArchive { .. } => "docker-archive",
        }
    }
}

impl RegistryRef {
    /// Returns the registry, for example `docker.io` or `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository inside the registry, for example `library/redis`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; `latest` is filled in where neither tag nor digest was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest that the image must have.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the name without tag and digest in the form people write, for example `redis`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        let official = self.repository.strip_prefix("library/");
        match official {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// Returns the full name with its tag, as an index of images is keyed.
    pub fn canonical(&self) -> String {
        format!("{}/{}{}", self.registry, self.repository, self.suffix())
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}"));
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}"));
        tag.unwrap_or_default() + &digest.unwrap_or_default()
    }
}

impl fmt::Display for RegistryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.familiar_name(), self.suffix())
    }
}

impl fmt::Display for LocalImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme(), self.path().display())?;
        match self.tag() {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => name.fmt(f),
            Self::Local(place) => place.fmt(f),
        }
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match parse_local(text) {
            Some(local) => local.map(Self::Local),
            None => parse_name(text).map(Self::Registry),
        };
        parsed.map_err(|expected| ImageRefError {
            text: text.chars().take(NAME_LIMIT).collect(),
            expected,
        })
    }
}

fn parse_local(text: &str) -> Option<Result<LocalImage, &'static str>> {
    let (scheme, rest) = text.split_once(':')?;
    if !["rootfs", "oci", "oci-archive", "docker-archive"].contains(&scheme) {
        return None;
    }
    if scheme == "rootfs" {
        return Some(place(rest).map(LocalImage::Rootfs));
    }
    let (path, tag) = match split_tag(rest) {
        (path, Some(tag)) => (path, Some(tag.to_owned())),
        (path, None) => (path, None),
    };
    Some(place(path).map(|path| match scheme {
        "oci" => LocalImage::Oci { dir: path, tag },
        "oci-archive" => LocalImage::OciArchive { file: path, tag },
        _ => LocalImage::DockerArchive { file: path, tag },
    }))
}

/// Splits what follows the last colon off, if it reads as a tag or as `name:tag` of a saved image.
fn split_tag(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once(':') {
        Some((path, tag)) if !tag.is_empty() => (path, Some(tag)),
        Some((path, _)) => (path, None),
        None => (rest, None),
    }
}

fn place(path: &str) -> Result<PathBuf, &'static str> {
    if path.is_empty() || path.contains('\0') {
        return Err("expected a path after the colon");
    }
    Ok(PathBuf::from(path))
}

fn parse_name(text: &str) -> Result<RegistryRef, &'static str> {
    let (text, digest) = match text.split_once('@') {
        Some((name, digest)) => {
            let expected = "expected `sha256:` and 64 hex digits after `@`";
            (name, Some(digest.parse::<Digest>().map_err(|_| expected)?))
        }
        None => (text, None),
    };
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(checked_tag(tag)?)),
        _ => (text, None),
    };
    let (registry, repository) = split_registry(name);
    if digest.is_none() && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("expected a name, not 64 hex digits");
    }
    check_registry(&registry)?;
    check_repository(&repository)?;
    if registry.len() + 1 + repository.len() > NAME_LIMIT {
        return Err("expected a name of at most 255 characters");
    }
    let default = || digest.is_none().then(|| DEFAULT_TAG.to_owned());
    Ok(RegistryRef {
        registry,
        repository,
        tag: tag.or_else(default),
        digest,
    })
}

fn checked_tag(tag: &str) -> Result<String, &'static str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(is_word);
    let rest = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    if !first || tag.len() > TAG_LIMIT || !tag.bytes().all(rest) {
        return Err("expected a tag of at most 128 letters, digits, `_`, `.` and `-`");
    }
    Ok(tag.to_owned())
}

/// Tells the registry from the repository: only the former has a dot, a port, capitals or is `localhost`.
fn split_registry(name: &str) -> (String, String) {
    let is_registry = |first: &str| {
        first.contains(['.', ':', '['])
            || first == "localhost"
            || first.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = match registry {
        "index.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        let repository = format!("{DEFAULT_NAMESPACE}/{repository}");
        return (registry.to_owned(), repository);
    }
    (registry.to_owned(), repository.to_owned())
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected a host name and perhaps a port before the first `/`";
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.len() > 5 || port.parse::<u16>().is_err()) {
        return Err(EXPECTED);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(EXPECTED),
        };
    }
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.split('.').all(is_label) {
        return Ok(());
    }
    Err(EXPECTED)
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("expected a name in lowercase letters");
    }
    if repository.split('/').all(is_path_component) {
        return Ok(());
    }
    Err("expected lowercase letters and digits, separated by one `.`, one or two `_`, or `-`")
}

fn is_path_component(component: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_are_words = bytes.first().is_some_and(is_word) && bytes.last().is_some_and(is_word);
    let mut separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends_are_words
        && separators.all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

as_text!(ImageRef);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn defaults_are_filled_in_and_left_out_again() {
        for (text, canonical, familiar) in [
            ("redis", "docker.io/library/redis:latest", "redis:latest"),
            ("redis:7", "docker.io/library/redis:7", "redis:7"),
            (
                "docker.io/redis",
                "docker.io/library/redis:latest",
                "redis:latest",
            ),
            ("index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            (
                "localhost:5000/x",
                "localhost:5000/x:latest",
                "localhost:5000/x:latest",
            ),
            ("[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1"),
            ("Reg/x", "Reg/x:latest", "Reg/x:latest"),
            (
                "quay.io/a/b_c/d__e/f--g:T.1",
                "quay.io/a/b_c/d__e/f--g:T.1",
                "quay.io/a/b_c/d__e/f--g:T.1",
            ),
        ] {
            let ImageRef::Registry(name) = text.parse().unwrap() else {
                panic!("{text} is a name");
            };
            assert_eq!(name.canonical(), canonical);
            assert_eq!(name.to_string(), familiar);
        }
        let pinned: ImageRef = format!("redis@sha256:{HEX}").parse().unwrap();
        assert_eq!(pinned.to_string(), format!("redis@sha256:{HEX}"));
        let both: ImageRef = format!("a/redis:7@sha256:{HEX}").parse().unwrap();
        assert_eq!(both.to_string(), format!("a/redis:7@sha256:{HEX}"));
    }

    #[test]
    fn places_on_this_disk_are_told_from_names() {
        for (text, expected) in [
            ("rootfs:/", LocalImage::Rootfs("/".into())),
            ("rootfs:./a:b", LocalImage::Rootfs("./a:b".into())),
            (
                "oci:x/y:1",
                LocalImage::Oci {
                    dir: "x/y".into(),
                    tag: Some("1".into()),
                },
            ),
            (
                "oci-archive:a.tar",
                LocalImage::OciArchive {
                    file: "a.tar".into(),
                    tag: None,
                },
            ),
            (
                "docker-archive:/a.tar:redis:7",
                LocalImage::DockerArchive {
                    file: "/a.tar".into(),
                    tag: Some("redis:7".into()),
                },
            ),
        ] {
            let parsed: ImageRef = text.parse().unwrap();
            assert_eq!(parsed, ImageRef::Local(expected));
            assert_eq!(parsed.to_string(), text);
        }
        let relative: ImageRef = "oci:x:1".parse().unwrap();
        assert_eq!(
            relative.resolve_against(Path::new("/p")).to_string(),
            "oci:/p/x:1"
        );
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        let long = "a".repeat(256);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            " ",
            "-",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a@",
            "A",
            "a/B",
            "a..b",
            "a___b",
            ".a",
            "a.",
            "a:-t",
            "a:t t",
            "a@sha256:1",
            "a@md5:00",
            "localhost:99999/x",
            "host.:1/x",
            "rootfs:",
            "oci:",
            "a\n",
            "a\0",
            "[::g]:1/x",
            HEX,
            &long,
            &tag,
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_reference_reads_back_as_itself(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(parsed) = text.parse::<ImageRef>() {
                prop_assert_eq!(parsed.to_string().parse::<ImageRef>().unwrap(), parsed);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            drop(text.parse::<ImageRef>());
        }
    }
}
