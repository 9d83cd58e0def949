//! A tar file of images, as `docker save` or an OCI tool writes it, into the store under the names in it.
//!
//! **Invariant:** nothing of the file gets a name before all layers of that image were checked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::members::Members;
use super::{Found, docker, list_members, oci, spooled};
use crate::runtime::image::index::{Named, Nameless, key};
use crate::runtime::image::layer::Decoder;
use crate::runtime::image::{ImageError, Store};

use crate::value::{Digest, ImageRef, LocalImage, Platform};

/// An image that was taken from an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The names that mean it now.
    pub names: Vec<ImageRef>,
    /// The digest of its configuration.
    pub id: Digest,
}

impl Store {
    /// Takes all images of an archive; a name in it means the image of the archive from now on.
    pub fn load(
        &self,
        path: &Path,
        platform: Option<&Platform>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let file = File::open(path).map_err(|error| ImageError::read(path, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| ImageError::read(path, error))?;
        if metadata.is_dir() {
            let error = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(ImageError::read(path, error));
        }
        if metadata.is_file() {
            let decoder = Decoder::new(&file).map_err(|error| ImageError::read(path, error))?;
            if decoder.is_plain() {
                let again = File::open(path).map_err(|error| ImageError::read(path, error))?;
                return self.load_plain(path, again, platform);
            }
        }
        self.load_stream(path, file, platform)
    }

    /// Does the same with a stream, such as standard input; `path` is what errors call it.
    pub fn load_stream(
        &self,
        path: &Path,
        source: impl Read,
        platform: Option<&Platform>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let decoder = Decoder::new(source).map_err(|error| ImageError::read(path, error))?;
        let file = spooled(&self.content, decoder)?;
        self.load_plain(path, file, platform)
    }

    fn load_plain(
        &self,
        path: &Path,
        file: File,
        platform: Option<&Platform>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let _keep = self.keep()?;
        self.layers.collect()?;
        let place = LocalImage::DockerArchive {
            file: path.to_owned(),
            tag: None,
        };
        let members = list_members(&place, path, file)?;
        let source = oci::Source::Archive(&members);
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        let images = if is_docker(&members) {
            docker::find_all(&members, &place)?
        } else {
            oci::find_all(&source, &place, &wanted)?
        };
        let mut loaded = Vec::new();
        for (names, found) in images {
            loaded.push(self.load_one(names, found)?);
        }
        Ok(loaded)
    }

    fn load_one(&self, names: Vec<String>, found: Found<'_>) -> Result<Loaded, ImageError> {
        let id = found.config.0.clone();
        let taken = self.take_layers(found)?;
        for (digest, bytes) in &taken.blobs {
            self.content.put(digest, bytes)?;
        }
        let mut loaded = Loaded {
            names: Vec::new(),
            id,
        };
        for name in names {
            // In an OCI layout a bare word is a tag without a repository, and no name of an image.
            if !name.contains([':', '/']) {
                continue;
            }
            let Ok(reference @ ImageRef::Registry(_)) = name.parse::<ImageRef>() else {
                continue;
            };
            self.index.set(&Named {
                key: key(&reference).unwrap_or_default(),
                manifest: taken.manifest.clone(),
                repo_digest: None,
                stamp: None,
                size_bytes: taken.size_bytes,
            })?;
            loaded.names.push(reference);
        }
        if loaded.names.is_empty() {
            self.index.keep(&Nameless {
                manifest: taken.manifest,
                former_name: None,
                size_bytes: taken.size_bytes,
            })?;
        }
        Ok(loaded)
    }
}

/// Newer archives are both; only `manifest.json` has all names.
fn is_docker(members: &Members) -> bool {
    members.size_bytes("manifest.json").is_some()
}
