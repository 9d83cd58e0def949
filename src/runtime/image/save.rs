//! Images of the store into one tar file that `docker load` and OCI tools read.
//!
//! The archive is an OCI image layout and has Docker's `manifest.json` beside it. Names are in order and
//! times are zero: saving the same images again gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::catalog::StoredImage;
use super::index::REF_NAME;
use super::layer::{Entry, Kind, TarWriter};
use super::manifest::{MANIFEST_LIMIT_BYTES, OCI_INDEX, own_media_type};
use super::{ImageError, Store};
use crate::value::{Digest, ImageRef};

/// Where containerd keeps the whole name of an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Names the layout of the archive.
const LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// One image to be saved, with those of its names that are to be kept.
#[derive(Debug, Clone)]
pub struct Saved<'a> {
    /// The image.
    pub image: &'a StoredImage,
    /// The names under which it shall be loaded.
    pub names: Vec<ImageRef>,
}

impl Store {
    /// Writes images into an archive.
    pub fn save(&self, images: &[Saved<'_>], sink: impl Write) -> Result<(), ImageError> {
        let _keep = self.keep()?;
        let mut blobs: BTreeSet<Digest> = BTreeSet::new();
        for saved in images {
            let image = saved.image;
            let layers = image.layers.iter().map(|layer| layer.blob.clone());
            blobs.extend(layers);
            blobs.extend([image.id.clone(), image.manifest.clone()]);
        }
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        drop(files.insert("index.json".to_owned(), self.index_of(images)?));
        drop(files.insert("manifest.json".to_owned(), docker_listing(images)));
        drop(files.insert("oci-layout".to_owned(), LAYOUT.to_vec()));
        self.write_archive(&blobs, &files, sink)
    }

    fn index_of(&self, images: &[Saved<'_>]) -> Result<Vec<u8>, ImageError> {
        let mut manifests = Vec::new();
        for saved in images {
            let digest = &saved.image.manifest;
            let bytes = self.content.read(digest, MANIFEST_LIMIT_BYTES)?;
            let bytes = bytes.ok_or_else(|| ImageError::NoSuchImage {
                text: saved.image.id.to_string(),
            })?;
            let media_type = own_media_type(&bytes);
            let media_type = media_type.unwrap_or_else(|| super::manifest::OCI_MANIFEST.to_owned());
            let entry = |annotations: serde_json::Value| {
                json!({
                    "mediaType": media_type,
                    "digest": digest,
                    "size": bytes.len(),
                    "annotations": annotations,
                })
            };
            if saved.names.is_empty() {
                manifests.push(entry(json!({})));
            }
            manifests.extend(saved.names.iter().filter_map(|name| match name {
                ImageRef::Registry(name) => Some(entry(json!({
                    CONTAINERD_NAME: name.canonical(),
                    REF_NAME: name.tag(),
                }))),
                ImageRef::Local(_) => None,
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        Ok(index.to_string().into_bytes())
    }

    fn write_archive(
        &self,
        blobs: &BTreeSet<Digest>,
        files: &BTreeMap<String, Vec<u8>>,
        sink: impl Write,
    ) -> Result<(), ImageError> {
        let written = Path::new("the archive");
        let fail = |error: io::Error| ImageError::write(written, error);
        let mut writer = TarWriter::new(sink);
        writer
            .entry(&member("blobs/", Kind::Dir, 0))
            .map_err(fail)?;
        let mut folder = "";
        for digest in blobs {
            let algorithm = digest.algorithm().name();
            if folder != algorithm {
                let name = format!("blobs/{algorithm}/");
                writer.entry(&member(&name, Kind::Dir, 0)).map_err(fail)?;
                folder = algorithm;
            }
            let path = self.content.path(digest);
            let open = || {
                let file = File::open(&path)?;
                let size_bytes = file.metadata()?.len();
                Ok((file, size_bytes))
            };
            let (mut file, size_bytes) = open().map_err(|error| ImageError::read(&path, error))?;
            let name = format!("blobs/{algorithm}/{}", digest.hex());
            let entry = member(&name, Kind::File, size_bytes);
            writer.file(&entry, &mut file).map_err(fail)?;
        }
        for (name, bytes) in files {
            let entry = member(name, Kind::File, bytes.len() as u64);
            writer.file(&entry, &mut &bytes[..]).map_err(fail)?;
        }
        writer
            .finish()
            .and_then(|mut sink| sink.flush())
            .map_err(fail)
    }
}

fn docker_listing(images: &[Saved<'_>]) -> Vec<u8> {
    let blob = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
    let listed: Vec<serde_json::Value> = images
        .iter()
        .map(|saved| {
            let names: Vec<String> = saved.names.iter().map(ToString::to_string).collect();
            let layers = saved.image.layers.iter();
            let layers: Vec<String> = layers.map(|layer| blob(&layer.blob)).collect();
            json!({
                "Config": blob(&saved.image.id),
                "RepoTags": if names.is_empty() { None } else { Some(names) },
                "Layers": layers,
            })
        })
        .collect();
    serde_json::Value::from(listed).to_string().into_bytes()
}

fn member(name: &str, kind: Kind, size_bytes: u64) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        kind,
        size_bytes,
        mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
    }
}
