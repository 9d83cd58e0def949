//! Secrets and configs: files whose bytes travel beside the spec, never in it.
//!
//! **Invariant:** no serialised form, hash or `Debug` output contains the bytes; all of them have
//! the digest instead.

use crate::value::Digest;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// A file that appears inside a container, on memory alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFile {
    /// Whether it is a secret or a config.
    pub kind: FileKind,
    /// Its key in the file.
    pub key: String,
    /// The absolute path inside.
    pub target: String,
    /// The owner inside; who the container runs as when nothing is said.
    pub uid: Option<u32>,
    /// The group inside; that of who the container runs as when nothing is said.
    pub gid: Option<u32>,
    /// The permission bits.
    pub mode: u32,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The bytes; absent in a spec that was read back.
    #[serde(skip)]
    pub content: Option<Content>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Something that others must not see.
    Secret,
    /// Something that may be seen.
    Config,
}

/// Bytes that do not print themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Arc<[u8]>);

impl Content {
    /// Takes the bytes of a secret or config.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest that stands for the bytes.
    pub fn digest(&self) -> Digest {
        Digest::sha256_of(&self.0)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_shows_its_digest_and_never_its_bytes() {
        let content = Content::new(b"hunter2");
        let file = InjectedFile {
            kind: FileKind::Secret,
            key: "password".to_owned(),
            target: "/run/secrets/password".to_owned(),
            uid: None,
            gid: None,
            mode: 0o444,
            digest: content.digest(),
            content: Some(content),
        };
        let json = serde_json::to_string(&file).unwrap();
        assert!(!json.contains("hunter2") && !format!("{file:?}").contains("hunter2"));
        assert!(json.contains("sha256:"), "{json}");
    }
}
