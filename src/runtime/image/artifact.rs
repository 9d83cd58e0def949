//! Artifacts of registries that are no container images: one manifest and its parts, each small.
//!
//! **Invariant:** every byte is checked against its digest, and nothing is larger than announced.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ImageError;
use super::manifest::{Descriptor, OCI_INDEX, OCI_MANIFEST};
use super::registry::{Credentials, Raw, RegistrySettings, Remote, Source};
use crate::value::{Digest, RegistryRef};

/// The most parts of one artifact.
const PARTS_LIMIT: usize = 200;
/// The most artifacts of one index.
const INDEX_LIMIT: usize = 1_000;

/// Where artifacts are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// The places to ask.
    pub registries: RegistrySettings,
    /// What to show to registries that ask.
    pub credentials: Credentials,
}

/// An artifact's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The digest that its name stands for.
    pub digest: Digest,
    /// What it says it is: its own type, or that of its configuration.
    pub kind: String,
    /// Its parts, in their order.
    pub parts: Vec<ArtifactPart>,
}

/// A part of an artifact; its name and notes are whatever somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactPart {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its announced size.
    pub size_bytes: u64,
    /// What is noted about it.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawArtifact {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawPart>,
    layers: Option<Vec<RawPart>>,
    manifests: Option<Vec<RawPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPart {
    media_type: String,
    artifact_type: Option<String>,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What a top document turned out to be.
enum Top {
    Manifest(Artifact),
    /// An index, whose entry of the wanted kind is this.
    Index(Digest, Digest),
}

impl Artifacts {
    /// Gets an artifact of one of these kinds, and the bytes of those of its parts that `wants` chooses.
    ///
    /// What `wants` has against the artifact is the error.
    pub async fn fetch(
        &self,
        name: &RegistryRef,
        kinds: &[&str],
        wants: &(dyn Fn(&Artifact) -> Result<Vec<ArtifactPart>, String> + Sync),
    ) -> Result<(Artifact, Vec<Vec<u8>>), ImageError> {
        let remote = Remote::new(name, &self.registries, &self.credentials)?;
        let (source, artifact) = resolve(&remote, kinds).await?;
        let wanted = wants(&artifact).map_err(|reason| refuse(&artifact.digest, reason))?;
        let mut contents = Vec::new();
        for part in &wanted {
            contents.push(content(&source, part).await?);
        }
        Ok((artifact, contents))
    }
}

async fn resolve<'a>(
    remote: &'a Remote,
    kinds: &[&str],
) -> Result<(Source<'a>, Artifact), ImageError> {
    let owned: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let read = move |raw: Raw| top(&raw, &owned);
    match remote.resolve_as(&read, &|_, _| {}).await? {
        (source, Top::Manifest(artifact)) => Ok((source, artifact)),
        (source, Top::Index(digest, entry)) => {
            let raw = source.raw_of(&entry, &|_, _| {}).await?;
            match read(raw)? {
                // The name stands for the index.
                Top::Manifest(artifact) => Ok((source, Artifact { digest, ..artifact })),
                Top::Index(..) => Err(refuse(&entry, "an index is in an index")),
            }
        }
    }
}

async fn content(source: &Source<'_>, part: &ArtifactPart) -> Result<Vec<u8>, ImageError> {
    let descriptor = Descriptor {
        media_type: part.media_type.clone(),
        digest: part.digest.clone(),
        size: part.size_bytes,
    };
    let bytes = source
        .small_blob(&descriptor, part.size_bytes, &|_, _| {})
        .await?;
    if bytes.len() as u64 == part.size_bytes {
        return Ok(bytes);
    }
    Err(ImageError::WrongSize {
        digest: part.digest.clone(),
        expected_bytes: part.size_bytes,
        got_bytes: bytes.len() as u64,
    })
}

fn top(raw: &Raw, kinds: &[String]) -> Result<Top, ImageError> {
    let refused = |reason: &str| refuse(&raw.digest, reason);
    let document: RawArtifact =
        serde_json::from_slice(&raw.bytes).map_err(|error| refused(&error.to_string()))?;
    classify(document, &raw.digest, kinds).map_err(|reason| refused(&reason))
}

fn classify(document: RawArtifact, digest: &Digest, kinds: &[String]) -> Result<Top, String> {
    if document.schema_version != Some(2) {
        return Err("its `schemaVersion` is not 2".to_owned());
    }
    let is = |own: &str| document.media_type.as_deref().is_none_or(|it| it == own);
    match (document.config, document.layers, document.manifests) {
        (Some(config), layers, None) if is(OCI_MANIFEST) => {
            let own = document.artifact_type.filter(|kind| !kind.is_empty());
            let kind = own.unwrap_or(config.media_type);
            if !kinds.contains(&kind) {
                return Err(format!(
                    "it is `{kind}`, expected `{}`",
                    kinds.join("` or `")
                ));
            }
            let parts: Vec<ArtifactPart> = layers.into_iter().flatten().map(part).collect();
            if parts.len() > PARTS_LIMIT {
                return Err(format!("it has more than {PARTS_LIMIT} parts"));
            }
            let digest = digest.clone();
            Ok(Top::Manifest(Artifact {
                digest,
                kind,
                parts,
            }))
        }
        (None, None, Some(entries)) if is(OCI_INDEX) => {
            let is_wanted = |entry: &&RawPart| {
                let kind = entry.artifact_type.as_ref();
                kind.is_some_and(|kind| kinds.contains(kind))
            };
            let found = entries.iter().take(INDEX_LIMIT).find(is_wanted);
            let entry = found.map(|entry| Top::Index(digest.clone(), entry.digest.clone()));
            entry.ok_or_else(|| format!("nothing in it is `{}`", kinds.join("` or `")))
        }
        _ => Err("it is neither the manifest of an artifact nor an index of some".to_owned()),
    }
}

fn part(raw: RawPart) -> ArtifactPart {
    ArtifactPart {
        media_type: raw.media_type,
        digest: raw.digest,
        size_bytes: raw.size,
        annotations: raw.annotations,
    }
}

fn refuse(digest: &Digest, reason: impl Into<String>) -> ImageError {
    ImageError::RefuseManifest {
        digest: digest.clone(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "application/vnd.example";

    fn read(text: &str) -> Result<Top, String> {
        let document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        classify(document, &Digest::sha256_of(b"top"), &[KIND.to_owned()])
    }

    fn descriptor(media_type: &str, more: &str) -> String {
        let digest = Digest::sha256_of(media_type.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1{more}}}"#)
    }

    #[test]
    fn an_artifact_is_known_by_its_type_or_by_that_of_its_configuration() {
        let own = format!(
            r#"{{"schemaVersion":2,"artifactType":"{KIND}","config":{},"layers":[{}]}}"#,
            descriptor("application/vnd.oci.empty.v1+json", ""),
            descriptor("text/plain", r#","annotations":{"name":"x"}"#),
        );
        let Ok(Top::Manifest(artifact)) = read(&own) else {
            panic!("it is a manifest");
        };
        assert_eq!(artifact.kind, KIND);
        assert_eq!(artifact.parts[0].annotations["name"], "x");
        let config = descriptor(KIND, "");
        let old = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        assert!(matches!(read(&old), Ok(Top::Manifest(_))));
    }

    #[test]
    fn an_index_leads_to_its_entry_of_the_kind() {
        let entry = descriptor("b", &format!(r#","artifactType":"{KIND}""#));
        let other = descriptor("a", "");
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{other},{entry}]}}"#);
        let Ok(Top::Index(_, digest)) = read(&index) else {
            panic!("it is an index");
        };
        assert_eq!(digest, Digest::sha256_of(b"b"));
    }

    #[test]
    fn what_is_no_such_artifact_is_refused() {
        let image = descriptor("application/vnd.oci.image.config.v1+json", "");
        let own = descriptor(KIND, "");
        for text in [
            format!(r#"{{"schemaVersion":2,"config":{image},"layers":[]}}"#),
            format!(r#"{{"schemaVersion":1,"config":{own},"layers":[]}}"#),
            format!(r#"{{"schemaVersion":2,"config":{own},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"manifests":[{own}]}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","config":{own}}}"#),
            "{}".to_owned(),
            "[".to_owned(),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
