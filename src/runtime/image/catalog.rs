//! Images as people ask for them: by name, by digest or by the beginning of an id; listed, tagged, removed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::CONFIG_LIMIT_BYTES;
use super::images::chain_ids;
use super::index::{Named, key};
use super::manifest::{Descriptor, Document, MANIFEST_LIMIT_BYTES};
use super::{ImageError, Store, manifest};
use crate::value::{Digest, ImageRef, Platform, RegistryRef};

/// How many characters of an id must be there, at least.
const ID_MIN: usize = 1;

/// One image of the store with everything that is known of it.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// The digest of its configuration.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The names that mean it.
    pub names: Vec<ImageRef>,
    /// The name that it had last, where it has none.
    pub former_name: Option<String>,
    /// The digests under which registries know it, as `name@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Its whole configuration, as it is stored.
    pub document: serde_json::Value,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it was built for, where it says so.
    pub platform: Option<Platform>,
    /// When it was built, as it says itself.
    pub created: Option<String>,
    /// What its layers take on this disk, unpacked.
    pub size_bytes: u64,
    /// Its layers, the lowest first.
    pub layers: Vec<StoredLayer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// The digest of its plain bytes.
    pub diff_id: Digest,
    /// The digest of its bytes as they are stored.
    pub blob: Digest,
    /// How many bytes are stored.
    pub blob_bytes: u64,
    /// What it takes on this disk, unpacked.
    pub size_bytes: u64,
}

/// What a text that should name an image found.
#[derive(Debug, Clone)]
pub struct Match {
    /// The image.
    pub image: StoredImage,
    /// The name by which it was found; `None` where it was its id.
    pub name: Option<ImageRef>,
}

/// What [`Store::untag`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The names that mean nothing any more.
    pub untagged: Vec<String>,
    /// The image, if no name means it any more.
    pub deleted: Option<Digest>,
}

impl Store {
    /// Lists all images of which every part is here, the newest first.
    pub fn images(&self) -> Result<Vec<StoredImage>, ImageError> {
        let mut images: BTreeMap<Digest, StoredImage> = BTreeMap::new();
        for named in self.index.names()? {
            if !images.contains_key(&named.manifest.digest) {
                let Some(image) = self.stored(&named.manifest, named.size_bytes)? else {
                    continue;
                };
                drop(images.insert(named.manifest.digest.clone(), image));
            }
            if let (Some(image), Ok(reference)) = (
                images.get_mut(&named.manifest.digest),
                named.key.parse::<ImageRef>(),
            ) {
                image.add_name(reference, named.repo_digest);
            }
        }
        for nameless in self.index.nameless()? {
            if let Some(mut image) = self.stored(&nameless.manifest, nameless.size_bytes)? {
                image.former_name = nameless.former_name;
                drop(images.insert(nameless.manifest.digest, image));
            }
        }
        let mut images: Vec<StoredImage> = images.into_values().collect();
        images.sort_by(|one, other| other.created.cmp(&one.created).then(one.id.cmp(&other.id)));
        Ok(images)
    }

    /// Finds the image that a name means, if every part of it is here.
    pub fn find_image(&self, reference: &ImageRef) -> Result<Option<StoredImage>, ImageError> {
        let names = self.index.names()?;
        match names.iter().find(|named| named.is(reference)) {
            Some(named) => self.stored(&named.manifest, named.size_bytes),
            None => Ok(None),
        }
    }

    /// Finds an image by its name, by `name@digest`, or by its id or the beginning of it.
    pub fn lookup(&self, text: &str) -> Result<Match, ImageError> {
        let images = self.images()?;
        if let Some(found) = by_name(&images, text) {
            return Ok(found);
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_id = (ID_MIN..=64).contains(&hex.len()) && hex.bytes().all(is_lower_hex);
        let mut found = images.into_iter().filter(|image| {
            let whole = hex.len() == 64 && image.manifest.hex() == hex;
            is_id && (whole || image.id.hex().starts_with(hex))
        });
        match (found.next(), found.next()) {
            (Some(image), None) => Ok(Match { image, name: None }),
            (Some(one), Some(other)) if one.id == other.id => Ok(Match {
                image: one,
                name: None,
            }),
            (Some(_), Some(_)) => Err(ImageError::Ambiguous {
                text: text.to_owned(),
            }),
            (None, _) => Err(ImageError::NoSuchImage {
                text: text.to_owned(),
            }),
        }
    }

    /// Gives an image one more name; what the name meant before stays without it.
    pub fn tag(&self, image: &StoredImage, name: &RegistryRef) -> Result<(), ImageError> {
        let _keep = self.keep()?;
        let reference = ImageRef::Registry(name.clone());
        let manifests = self.index.manifests()?.into_iter();
        let mut manifests = manifests.filter(|it| it.digest == image.manifest);
        let manifest = manifests.next().ok_or_else(|| ImageError::NoSuchImage {
            text: image.id.to_string(),
        })?;
        self.index.set(&Named {
            key: key(&reference).unwrap_or_default(),
            manifest,
            repo_digest: None,
            stamp: None,
            size_bytes: image.size_bytes,
        })
    }

    /// Takes names from an image: the one by which it was found, or all of them.
    ///
    /// An image that has no name left is forgotten; its layers and blobs go with [`Store::prune`].
    pub fn untag(&self, found: &Match) -> Result<Removed, ImageError> {
        let mut removed = Removed {
            untagged: Vec::new(),
            deleted: None,
        };
        let names = match &found.name {
            Some(name) => vec![name.clone()],
            None => found.image.names.clone(),
        };
        let is_last = found.image.names.iter().all(|name| names.contains(name));
        for name in &names {
            let Some(key) = key(name) else { continue };
            if self.index.unset(&key)? {
                removed.untagged.push(name.to_string());
            }
        }
        if is_last {
            self.index.forget(&found.image.manifest)?;
            removed.deleted = Some(found.image.id.clone());
        }
        Ok(removed)
    }

    fn stored(
        &self,
        descriptor: &Descriptor,
        size_bytes: u64,
    ) -> Result<Option<StoredImage>, ImageError> {
        let digest = &descriptor.digest;
        let Some(bytes) = self.content.read(digest, MANIFEST_LIMIT_BYTES)? else {
            return Ok(None);
        };
        let Ok(Document::Manifest(manifest)) = manifest::parse(&bytes, digest, None) else {
            return Ok(None);
        };
        let id = manifest.config.digest;
        let Some(bytes) = self.content.read(&id, CONFIG_LIMIT_BYTES)? else {
            return Ok(None);
        };
        // What cannot be run, such as an image with a relative volume, can still be listed and built on.
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return Ok(None);
        };
        let Ok(known) = serde_json::from_value::<KnownFields>(document.clone()) else {
            return Ok(None);
        };
        let platform = known.platform();
        let diff_ids = known.rootfs.unwrap_or_default().diff_ids;
        let mut layers = Vec::new();
        let chains = chain_ids(&diff_ids);
        for ((chain, diff_id), layer) in chains.iter().zip(&diff_ids).zip(&manifest.layers) {
            let Some(record) = self.layers.record(chain)? else {
                return Ok(None);
            };
            layers.push(StoredLayer {
                diff_id: diff_id.clone(),
                blob: layer.digest.clone(),
                blob_bytes: layer.size,
                size_bytes: record.size_bytes,
            });
        }
        Ok(Some(StoredImage {
            id,
            manifest: digest.clone(),
            names: Vec::new(),
            former_name: None,
            repo_digests: Vec::new(),
            document,
            platform,
            labels: known.config.unwrap_or_default().labels.unwrap_or_default(),
            created: known.created,
            size_bytes,
            layers,
        }))
    }
}

/// What of a configuration is shown beside the whole.
#[derive(Deserialize)]
struct KnownFields {
    created: Option<String>,
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    config: Option<KnownConfig>,
    rootfs: Option<KnownRootfs>,
}

#[derive(Default, Deserialize)]
struct KnownConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct KnownRootfs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl KnownFields {
    fn platform(&self) -> Option<Platform> {
        let (os, architecture) = (self.os.as_ref()?, self.architecture.as_ref()?);
        let variant = self
            .variant
            .as_deref()
            .filter(|variant| !variant.is_empty());
        let text = match variant {
            Some(variant) => format!("{os}/{architecture}/{variant}"),
            None => format!("{os}/{architecture}"),
        };
        text.parse().ok()
    }
}

impl StoredImage {
    /// Returns the digests of its layers' plain bytes, the lowest first.
    pub fn diff_ids(&self) -> Vec<Digest> {
        let layers = self.layers.iter();
        layers.map(|layer| layer.diff_id.clone()).collect()
    }

    fn add_name(&mut self, reference: ImageRef, repo_digest: Option<Digest>) {
        if let (ImageRef::Registry(name), Some(digest)) = (&reference, repo_digest) {
            let text = format!("{}@{digest}", name.familiar_name());
            if !self.repo_digests.contains(&text) {
                self.repo_digests.push(text);
            }
        }
        self.names.push(reference);
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn by_name(images: &[StoredImage], text: &str) -> Option<Match> {
    let reference = text.parse::<ImageRef>().ok()?;
    let found = |image: &StoredImage| Match {
        image: image.clone(),
        name: Some(reference.clone()),
    };
    if let Some(image) = images.iter().find(|image| image.names.contains(&reference)) {
        return Some(found(image));
    }
    let ImageRef::Registry(name) = &reference else {
        return None;
    };
    let digest = name.digest()?;
    let text = format!("{}@{digest}", name.familiar_name());
    let same_repository = |own: &ImageRef| match own {
        ImageRef::Registry(own) => own.familiar_name() == name.familiar_name(),
        ImageRef::Local(_) => false,
    };
    let mut known = images.iter().filter(|image| {
        let by_manifest = image.manifest == *digest && image.names.iter().any(same_repository);
        by_manifest || image.repo_digests.contains(&text)
    });
    known.next().map(|image| Match {
        image: image.clone(),
        name: None,
    })
}
