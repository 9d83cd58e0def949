//! Manifest and index bytes into what they point to, or a refusal.
//!
//! **Invariant:** a document is a manifest or an index by its own fields, and its media type must agree;
//! one that could be read as both is refused.

use serde::{Deserialize, Serialize};

use crate::value::{Digest, ImageRef, Platform};

use super::ImageError;
use super::config::LAYERS_LIMIT;

/// The largest manifest or index that is read.
pub(super) const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;
/// The most images of one index.
const INDEX_LIMIT: usize = 10_000;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a registry is told that we understand.
pub(super) const ACCEPT: [&str; 4] = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];

/// Points to a blob; `urls` to other hosts and inlined `data` are not even read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) descriptor: Descriptor,
    pub(super) platform: Option<Platform>,
    pub(super) annotations: serde_json::Map<String, serde_json::Value>,
}

/// A manifest that describes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// What a document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Manifest(Manifest),
    Index(Vec<Offer>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<RawOffer>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOffer {
    media_type: String,
    digest: Digest,
    size: u64,
    platform: Option<RawPlatform>,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// Reads a document whose digest was already checked; `content_type` is what the sender called it.
pub(super) fn parse(
    bytes: &[u8],
    digest: &Digest,
    content_type: Option<&str>,
) -> Result<Document, ImageError> {
    let refuse = |reason: String| ImageError::RefuseManifest {
        digest: digest.clone(),
        reason,
    };
    let raw: RawDocument =
        serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
    let known = |name: &&str| ACCEPT.contains(name);
    let sent = content_type.filter(known);
    if let (Some(sent), Some(own)) = (sent, raw.media_type.as_deref())
        && sent != own
    {
        return Err(refuse(format!("it says `{own}`, its sender says `{sent}`")));
    }
    classify(raw, sent).map_err(|reason| refuse(reason.to_owned()))
}

/// Writes the manifest of an image that has none; `config` is its digest and its bytes.
pub(super) fn write<'a>(
    (digest, config): &(Digest, Vec<u8>),
    layers: impl Iterator<Item = &'a Descriptor>,
) -> (Descriptor, Vec<u8>) {
    let config = Descriptor {
        media_type: OCI_CONFIG.to_owned(),
        digest: digest.clone(),
        size: config.len() as u64,
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": layers.collect::<Vec<_>>(),
    });
    let bytes = manifest.to_string().into_bytes();
    let descriptor = Descriptor {
        media_type: OCI_MANIFEST.to_owned(),
        digest: Digest::sha256_of(&bytes),
        size: bytes.len() as u64,
    };
    (descriptor, bytes)
}

/// Returns the media type that a document claims for itself.
pub(super) fn own_media_type(bytes: &[u8]) -> Option<String> {
    let raw: RawDocument = serde_json::from_slice(bytes).ok()?;
    raw.media_type
}

fn classify(raw: RawDocument, sent: Option<&str>) -> Result<Document, &'static str> {
    if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
        return Err("it is of schema 1, which has no trustworthy digests");
    }
    if raw.schema_version != Some(2) {
        return Err("its `schemaVersion` is not 2");
    }
    let media_type = raw.media_type.as_deref().or(sent);
    let may_be = |types: [&str; 2]| media_type.is_none_or(|own| types.contains(&own));
    match (raw.config, raw.layers, raw.manifests) {
        (Some(config), layers, None) if may_be([OCI_MANIFEST, DOCKER_MANIFEST]) => {
            check_image(config, layers.unwrap_or_default()).map(Document::Manifest)
        }
        (None, None, Some(offers)) if may_be([OCI_INDEX, DOCKER_INDEX]) => {
            if offers.len() > INDEX_LIMIT {
                return Err("it lists more than 10,000 images");
            }
            Ok(Document::Index(offers.into_iter().map(offer).collect()))
        }
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            Err("it is a manifest and an index at once")
        }
        (Some(_), _, None) | (None, None, Some(_)) => Err("its media type and its content differ"),
        (None, _, None) => Err("it is neither a manifest nor an index"),
    }
}

fn check_image(config: Descriptor, layers: Vec<Descriptor>) -> Result<Manifest, &'static str> {
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&config.media_type.as_str()) {
        return Err("it is no container image, its configuration is of another type");
    }
    if layers.len() > LAYERS_LIMIT {
        return Err("it has more than 1,000 layers");
    }
    let is_tar = |layer: &Descriptor| {
        let name = layer.media_type.as_str();
        let suffixes = ["", "+gzip", "+zstd", ".gzip", ".zstd"];
        let mut bare = suffixes
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix));
        bare.any(|bare| bare.rsplit('.').next() == Some("tar"))
    };
    if layers.iter().all(is_tar) {
        return Ok(Manifest { config, layers });
    }
    Err("a layer of it is not a tar file")
}

fn offer(raw: RawOffer) -> Offer {
    let platform = raw.platform.and_then(|platform| {
        let variant = platform.variant.filter(|variant| !variant.is_empty());
        let mut text = format!("{}/{}", platform.os?, platform.architecture?);
        if let Some(variant) = variant {
            text = format!("{text}/{variant}");
        }
        text.parse().ok()
    });
    Offer {
        descriptor: Descriptor {
            media_type: raw.media_type,
            digest: raw.digest,
            size: raw.size,
        },
        platform,
        annotations: raw.annotations.unwrap_or_default(),
    }
}

/// Chooses the image of an index that serves `wanted` best.
pub(super) fn choose<'a>(
    offers: &'a [Offer],
    wanted: &Platform,
    reference: &ImageRef,
) -> Result<&'a Descriptor, ImageError> {
    let is_image =
        |offer: &&Offer| [OCI_MANIFEST, DOCKER_MANIFEST].contains(&&*offer.descriptor.media_type);
    let images: Vec<&Offer> = offers.iter().filter(is_image).collect();
    let rated = images.iter().filter_map(|offer| {
        let platform = offer.platform.as_ref()?;
        Some((wanted.preference(platform)?, *offer))
    });
    if let Some((_, best)) = rated.min_by_key(|(preference, _)| *preference) {
        return Ok(&best.descriptor);
    }
    // An index of one image that does not say what for: the configuration will tell.
    if let [only] = images[..]
        && only.platform.is_none()
    {
        return Ok(&only.descriptor);
    }
    let mut offered: Vec<String> = images
        .iter()
        .filter_map(|offer| offer.platform.as_ref().map(ToString::to_string))
        .collect();
    offered.dedup();
    if offered.is_empty() {
        offered.push("no platform at all".to_owned());
    }
    Err(ImageError::NoPlatform {
        reference: Box::new(reference.clone()),
        wanted: wanted.clone(),
        offered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, content_type: Option<&str>) -> Result<Document, String> {
        let digest = Digest::sha256_of(text.as_bytes());
        parse(text.as_bytes(), &digest, content_type).map_err(|error| error.to_string())
    }

    fn descriptor(media_type: &str) -> String {
        let digest = Digest::sha256_of(media_type.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1}}"#)
    }

    fn manifest(extra: &str) -> String {
        let config = descriptor(OCI_CONFIG);
        let layer = descriptor(OCI_LAYER);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]{extra}}}"#)
    }

    #[test]
    fn ambiguous_documents_are_refused() {
        assert!(parsed(&manifest(""), None).is_ok());
        assert!(parsed(&manifest(""), Some(OCI_MANIFEST)).is_ok());
        assert!(parsed(&manifest(""), Some("text/plain")).is_ok());
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(parsed(index, Some(OCI_INDEX)).is_ok());
        for (text, content_type) in [
            (manifest(r#","manifests":[]"#), None),
            (manifest(""), Some(OCI_INDEX)),
            (manifest(&format!(r#","mediaType":"{OCI_INDEX}""#)), None),
            (
                manifest(&format!(r#","mediaType":"{OCI_MANIFEST}""#)),
                Some(DOCKER_MANIFEST),
            ),
            (manifest(r#","fsLayers":[]"#), None),
            (manifest(r#","schemaVersion":2"#), None),
            (index.to_owned(), Some(OCI_MANIFEST)),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), None),
            (r#"{"schemaVersion":2}"#.to_owned(), None),
            ("[".to_owned(), None),
        ] {
            assert!(
                parsed(&text, content_type).is_err(),
                "{text} {content_type:?}"
            );
        }
        let artifact = manifest("").replace(OCI_CONFIG, "application/vnd.example+json");
        assert!(parsed(&artifact, None).is_err());
        let encrypted = manifest("").replace(".tar\"", ".tar+gzip+encrypted\"");
        assert!(parsed(&encrypted, None).is_err());
    }

    #[test]
    fn the_image_for_the_wanted_platform_is_chosen() {
        let offer = |text: &str| {
            let (os, architecture) = text.split_once('/').unwrap();
            let mut offer = descriptor(OCI_MANIFEST).replace(
                '}',
                &format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#),
            );
            let digest = Digest::sha256_of(text.as_bytes()).to_string();
            let own = Digest::sha256_of(OCI_MANIFEST.as_bytes()).to_string();
            offer = offer.replace(&own, &digest);
            offer
        };
        let list = [
            offer("linux/arm64"),
            offer("unknown/unknown"),
            offer("linux/amd64"),
        ];
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
        let Document::Index(offers) = parsed(&text, None).unwrap() else {
            panic!("it is an index");
        };
        let reference: ImageRef = "redis".parse().unwrap();
        let chosen = choose(&offers, &"linux/amd64".parse().unwrap(), &reference).unwrap();
        assert_eq!(chosen.digest, Digest::sha256_of(b"linux/amd64"));
        let none = choose(&offers, &"linux/riscv64".parse().unwrap(), &reference);
        let error = none.unwrap_err().to_string();
        assert!(
            error.contains("linux/riscv64") && error.contains("linux/arm64"),
            "{error}"
        );
    }
}
