//! Which name means which manifest: `index.json` of the image layout.
//!
//! Entries that other tools wrote are kept as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ImageError;
use super::manifest::{Descriptor, OCI_INDEX};
use crate::runtime::kernel::failpoint;
use crate::runtime::store::{self, Contention, Durability, FileLock, LockHolder, StoreError};
use crate::value::{Digest, ImageRef, LocalImage};

/// Where the layout keeps the name of an image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The digest under which the registry knows the image.
const REPO_DIGEST: &str = "dev.consort.repo-digest";
/// What a local form looked like when it was read; unchanged, it is not read again.
const STAMP: &str = "dev.consort.stamp";
/// The name that an image without one had last.
const FORMER_NAME: &str = "dev.consort.former-name";
/// What the layers take, unpacked.
const SIZE: &str = "dev.consort.size-bytes";

/// The largest index of our own that is read.
const INDEX_LIMIT_BYTES: u64 = 64 << 20;

/// One name and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) key: String,
    pub(super) manifest: Descriptor,
    pub(super) repo_digest: Option<Digest>,
    pub(super) stamp: Option<String>,
    pub(super) size_bytes: u64,
}

/// An image that no name means any more, or never did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nameless {
    pub(super) manifest: Descriptor,
    pub(super) former_name: Option<String>,
    pub(super) size_bytes: u64,
}

/// The file on disk and the lock beside it.
#[derive(Debug, Clone)]
pub(super) struct Index {
    path: PathBuf,
    lock: PathBuf,
    damaged: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    schema_version: u32,
    #[serde(default = "index_type")]
    media_type: String,
    manifests: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

fn index_type() -> String {
    OCI_INDEX.to_owned()
}

impl Index {
    pub(super) fn new(images: &Path, lock: PathBuf, damaged: PathBuf) -> Self {
        Self {
            path: images.join("index.json"),
            lock,
            damaged,
        }
    }

    /// Returns all names, in their order.
    pub(super) fn names(&self) -> Result<Vec<Named>, ImageError> {
        let layout = self.load().or_else(none_where_damaged)?;
        Ok(layout.manifests.iter().filter_map(named).collect())
    }

    /// Returns the digests of all manifests, also of those that other tools added.
    pub(super) fn manifests(&self) -> Result<Vec<Descriptor>, ImageError> {
        let layout = self.load().or_else(none_where_damaged)?;
        Ok(layout.manifests.iter().map(descriptor).collect())
    }

    /// Returns the images of ours that have no name.
    pub(super) fn nameless(&self) -> Result<Vec<Nameless>, ImageError> {
        let layout = self.load().or_else(none_where_damaged)?;
        Ok(layout.manifests.iter().filter_map(nameless).collect())
    }

    /// Makes a name mean this and nothing else; the image that it meant before stays, without a name.
    pub(super) fn set(&self, named: &Named) -> Result<(), ImageError> {
        self.change(|entries| {
            take_name(entries, &named.key, Some(&named.manifest.digest));
            entries
                .retain(|entry| entry.digest != named.manifest.digest || nameless(entry).is_none());
            entries.push(entry(named));
        })
    }

    /// Keeps an image that has no name.
    pub(super) fn keep(&self, image: &Nameless) -> Result<(), ImageError> {
        self.change(|entries| {
            if entries
                .iter()
                .all(|entry| entry.digest != image.manifest.digest)
            {
                entries.push(nameless_entry(image));
            }
        })
    }

    /// Forgets all names that mean an image, and the image itself.
    pub(super) fn forget(&self, manifest: &Digest) -> Result<(), ImageError> {
        self.change(|entries| entries.retain(|entry| entry.digest != *manifest))
    }

    /// Forgets a name; says whether it was there.
    pub(super) fn unset(&self, key: &str) -> Result<bool, ImageError> {
        let mut was_there = false;
        self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| {
                entry
                    .annotations
                    .get(REF_NAME)
                    .is_none_or(|name| name != key)
            });
            was_there = entries.len() < before;
        })?;
        Ok(was_there)
    }

    fn change(&self, act: impl FnOnce(&mut Vec<Entry>)) -> Result<(), ImageError> {
        let holder = LockHolder {
            pid: std::process::id(),
            command: "consort".to_owned(),
        };
        let _lock = FileLock::acquire(&self.lock, &holder, Contention::Wait, &|_| {})?;
        let mut layout = match self.load() {
            Err(error) if error.is_damage() => {
                let _kept = store::set_aside(&self.damaged, &self.path, &error)?;
                Layout::empty()
            }
            loaded => loaded?,
        };
        act(&mut layout.manifests);
        let hit = failpoint::hit("image.index.write");
        hit.map_err(|error| ImageError::write(&self.path, error))?;
        let written = store::write_json(&self.path, &layout, Durability::Synced);
        written.map_err(ImageError::from_store)
    }

    fn load(&self) -> Result<Layout, StoreError> {
        let bytes = match store::read_bounded(&self.path, INDEX_LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Layout::empty()),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Parse {
            path: self.path.clone(),
            source,
        })
    }

    /// Returns why the file cannot be read, if it is damaged.
    pub(super) fn damage(&self) -> Option<StoreError> {
        self.load().err().filter(StoreError::is_damage)
    }

    /// Returns the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Layout {
    fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
        }
    }
}

/// Without its index the store has no image by name; the next change sets the file aside.
fn none_where_damaged(error: StoreError) -> Result<Layout, StoreError> {
    if error.is_damage() {
        Ok(Layout::empty())
    } else {
        Err(error)
    }
}

/// Takes a name away; an image of ours that has no other one then stays without, unless it is `successor`.
fn take_name(entries: &mut Vec<Entry>, key: &str, successor: Option<&Digest>) {
    let has_name = |entry: &Entry| entry.annotations.get(REF_NAME).map(String::as_str) == Some(key);
    let before: Vec<Nameless> = entries
        .iter()
        .filter(|entry| has_name(entry) && Some(&entry.digest) != successor)
        .filter_map(named)
        // What lies elsewhere on this disk is read again from there.
        .filter(|named| named.stamp.is_none())
        .map(|named| Nameless {
            manifest: named.manifest,
            former_name: Some(named.key),
            size_bytes: named.size_bytes,
        })
        .collect();
    entries.retain(|entry| !has_name(entry));
    for image in before {
        let is_gone = |entry: &Entry| entry.digest != image.manifest.digest;
        if entries.iter().all(is_gone) {
            entries.push(nameless_entry(&image));
        }
    }
}

fn nameless(entry: &Entry) -> Option<Nameless> {
    if entry.annotations.contains_key(REF_NAME) {
        return None;
    }
    Some(Nameless {
        manifest: descriptor(entry),
        former_name: entry.annotations.get(FORMER_NAME).cloned(),
        size_bytes: entry.annotations.get(SIZE)?.parse().ok()?,
    })
}

fn nameless_entry(image: &Nameless) -> Entry {
    let annotations = [
        (FORMER_NAME, image.former_name.clone()),
        (SIZE, Some(image.size_bytes.to_string())),
    ];
    entry_of(&image.manifest, annotations)
}

fn descriptor(entry: &Entry) -> Descriptor {
    Descriptor {
        media_type: entry.media_type.clone(),
        digest: entry.digest.clone(),
        size: entry.size,
    }
}

fn entry_of<const COUNT: usize>(
    manifest: &Descriptor,
    annotations: [(&str, Option<String>); COUNT],
) -> Entry {
    Entry {
        media_type: manifest.media_type.clone(),
        digest: manifest.digest.clone(),
        size: manifest.size,
        platform: None,
        annotations: annotations
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}

fn named(entry: &Entry) -> Option<Named> {
    let find = |name: &str| entry.annotations.get(name);
    Some(Named {
        key: find(REF_NAME)?.clone(),
        manifest: descriptor(entry),
        repo_digest: find(REPO_DIGEST).and_then(|text| text.parse().ok()),
        stamp: find(STAMP).cloned(),
        size_bytes: find(SIZE)?.parse().ok()?,
    })
}

fn entry(named: &Named) -> Entry {
    let digest = named.repo_digest.as_ref().map(ToString::to_string);
    let annotations = [
        (REF_NAME, Some(named.key.clone())),
        (REPO_DIGEST, digest),
        (STAMP, named.stamp.clone()),
        (SIZE, Some(named.size_bytes.to_string())),
    ];
    entry_of(&named.manifest, annotations)
}

/// Returns the name under which an image is kept; a root filesystem is not kept at all.
pub(super) fn key(reference: &ImageRef) -> Option<String> {
    match reference {
        ImageRef::Registry(name) => Some(name.canonical()),
        ImageRef::Local(LocalImage::Rootfs(_)) => None,
        ImageRef::Local(place) => Some(place.to_string()),
    }
}

impl Named {
    /// Says whether this is the image that `reference` asks for.
    ///
    /// A digest alone is not enough: it counts only under the repository it was pulled from.
    pub(super) fn is(&self, reference: &ImageRef) -> bool {
        if key(reference).as_ref() == Some(&self.key) {
            return true;
        }
        let (ImageRef::Registry(wanted), Ok(ImageRef::Registry(own))) =
            (reference, self.key.parse::<ImageRef>())
        else {
            return false;
        };
        let same_repository =
            wanted.registry() == own.registry() && wanted.repository() == own.repository();
        let has = |digest: &Digest| {
            self.manifest.digest == *digest || self.repo_digest.as_ref() == Some(digest)
        };
        same_repository && wanted.digest().is_some_and(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(dir: &Path) -> Index {
        Index::new(dir, dir.join("images.lock"), dir.join("damaged"))
    }

    fn named_image(key: &str, content: &[u8]) -> Named {
        Named {
            key: key.to_owned(),
            manifest: Descriptor {
                media_type: super::super::manifest::OCI_MANIFEST.to_owned(),
                digest: Digest::sha256_of(content),
                size: 1,
            },
            repo_digest: Some(Digest::sha256_of(b"index")),
            stamp: None,
            size_bytes: 7,
        }
    }

    #[test]
    fn a_name_means_what_was_set_last() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(dir.path());
        assert_eq!(index.names().unwrap(), []);
        let (first, second) = (
            named_image("docker.io/library/a:1", b"1"),
            named_image("docker.io/library/a:1", b"2"),
        );
        index.set(&first).unwrap();
        index.set(&second).unwrap();
        assert_eq!(index.names().unwrap(), [second]);
        assert!(index.unset("docker.io/library/a:1").unwrap());
        assert!(!index.unset("docker.io/library/a:1").unwrap());
    }

    #[test]
    fn entries_of_other_tools_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(dir.path());
        let digest = Digest::sha256_of(b"x");
        let foreign = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":3,
                "platform":{{"os":"linux"}},"annotations":{{"a":"b"}}}}]}}"#
        );
        store::write_atomic(
            &dir.path().join("index.json"),
            foreign.as_bytes(),
            Durability::Cached,
        )
        .unwrap();
        index.set(&named_image("a", b"1")).unwrap();
        assert_eq!(index.manifests().unwrap()[0].digest, digest);
        let bytes = store::read_bounded(&dir.path().join("index.json"), 9999).unwrap();
        assert!(
            String::from_utf8(bytes)
                .unwrap()
                .contains(r#""os":"linux""#)
        );
    }

    #[test]
    fn a_digest_counts_only_under_its_own_repository() {
        let named = named_image("docker.io/library/a:1", b"1");
        let digest = Digest::sha256_of(b"1");
        let listed = Digest::sha256_of(b"index");
        let is = |text: String| named.is(&text.parse().unwrap());
        assert!(is("a:1".to_owned()));
        assert!(is(format!("a@{digest}")));
        assert!(is(format!("a:2@{listed}")));
        assert!(!is("a:2".to_owned()));
        assert!(!is(format!("b@{digest}")));
        assert!(!is(format!("quay.io/library/a@{digest}")));
    }
}
