//! Images made by hand, small and complete.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use consort::value::Digest;
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image as a registry or a layout holds it.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
}

/// One layer: the compressed bytes and the digest of the plain ones.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: Digest,
}

impl Layer {
    /// Packs files, given as path and content; a path that ends in `/` is a directory.
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            let is_dir = path.ends_with('/');
            header.set_entry_type(if is_dir {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_mode(if is_dir { 0o755 } else { 0o644 });
            header.set_size(content.len() as u64);
            header.set_mtime(1000);
            tar.append_data(&mut header, path, *content).unwrap();
        }
        Self::packed(&tar.into_inner().unwrap())
    }

    pub(crate) fn packed(plain: &[u8]) -> Self {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain).unwrap();
        Self {
            blob: gzip.finish().unwrap(),
            diff_id: Digest::sha256_of(plain),
        }
    }
}

impl Built {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self::for_platform(layers, "amd64")
    }

    pub(crate) fn for_platform(layers: Vec<Layer>, architecture: &str) -> Self {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"], "Env": ["A=1"], "Volumes": {"/data": {}}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let mut built = Self {
            manifest: Vec::new(),
            config,
            layers,
        };
        built.manifest = built.manifest_json().to_string().into_bytes();
        built
    }

    /// A file in each of two layers, the second hiding one of the first.
    pub(crate) fn small() -> Self {
        Self::new(vec![
            Layer::of(&[
                ("etc/", b""),
                ("etc/name", b"lower"),
                ("etc/gone", b"x"),
                ("bin/", b""),
                ("bin/true", b"#!"),
            ]),
            Layer::of(&[("etc/", b""), ("etc/name", b"upper"), ("etc/.wh.gone", b"")]),
        ])
    }

    /// One layer that does not compress, of about this size.
    pub(crate) fn large(size_bytes: usize) -> Self {
        let mut state = 1_u64;
        let mut noise = Vec::with_capacity(size_bytes);
        while noise.len() < size_bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend(state.to_le_bytes());
        }
        Self::new(vec![Layer::of(&[("noise", &noise)])])
    }

    pub(crate) fn manifest_json(&self) -> Value {
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer.blob))
            .collect();
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &self.config),
            "layers": layers,
        })
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256_of(&self.manifest)
    }

    /// Returns all blobs, the manifest among them.
    pub(crate) fn blobs(&self) -> Vec<&[u8]> {
        let layers = self.layers.iter().map(|layer| &layer.blob[..]);
        layers
            .chain([&self.config[..], &self.manifest[..]])
            .collect()
    }

    /// Writes an OCI image layout with this image under one tag.
    pub(crate) fn write_layout(&self, dir: &Path, tag: &str) {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        write_layout(dir, &[self], &[entry]);
    }
}

/// Writes an OCI image layout of several images under these index entries.
pub(crate) fn write_layout(dir: &Path, images: &[&Built], entries: &[Value]) {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in images.iter().flat_map(|image| image.blobs()) {
        fs::write(blobs.join(Digest::sha256_of(blob).hex()), blob).unwrap();
    }
    fs::write(dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::sha256_of(bytes),
        "size": bytes.len(),
    })
}
