//! Images that lie on this disk: OCI layouts, tar files of them, and what `docker save` writes.
//!
//! The user chose the place, but what is inside came from elsewhere: names in it are looked up in it
//! alone, and every byte is checked against its digest on its way into the store.

mod members;
mod oci;
mod docker;
mod load;

pub use load::Loaded;

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use self::members::Members;
use super::content::Content;
use super::images::chain_ids;
use super::index::{Named, key};
use super::layer::{Decoder, SourceReader};
use super::layers::{LayerJob, LayerRecord, Prepared};
use super::manifest::{self, Descriptor};
use super::{ImageError, ImageRecord, Store};
use crate::runtime::kernel::rooted::Root;
use crate::runtime::store;
use crate::value::{Digest, ImageRef, LocalImage, Platform};

/// The largest `index.json` or `manifest.json` that is read.
const LISTING_LIMIT_BYTES: u64 = 4 << 20;

/// Opens the bytes of one layer.
type OpenLayer<'a> = Box<dyn Fn() -> Result<SourceReader, ImageError> + 'a>;

/// An image as a local form describes it, before its layers are unpacked.
struct Found<'a> {
    config: (Digest, Vec<u8>),
    /// The manifest, where there is one; `docker save` has none worth the name.
    manifest: Option<(Descriptor, Vec<u8>)>,
    layers: Vec<(LayerJob, OpenLayer<'a>)>,
}

/// An image whose layers are in the store, before it has a name.
struct Taken {
    manifest: Descriptor,
    /// Its configuration and its manifest.
    blobs: [(Digest, Vec<u8>); 2],
    size_bytes: u64,
}

impl Store {
    /// Takes an image from its place on this disk into the store; unchanged, it is not read again.
    ///
    /// A `rootfs:` directory stays where it is.
    pub fn import(
        &self,
        place: &LocalImage,
        platform: Option<&Platform>,
    ) -> Result<ImageRecord, ImageError> {
        let reference = ImageRef::Local(place.clone());
        let refuse = |reason: &str| refuse(place, reason);
        if let LocalImage::Rootfs(_) = place {
            let found = self.find(&reference)?;
            return found.ok_or_else(|| refuse("there is no such directory"));
        }
        let _keep = self.keep()?;
        self.layers.collect()?;
        let stamp = stamp(place)?;
        let known = self.index.names()?.into_iter();
        let mut known = known.filter(|named| Some(&named.key) == key(&reference).as_ref());
        if let Some(named) = known
            .next()
            .filter(|named| named.stamp.as_ref() == Some(&stamp))
            && let Some(record) = self.record(reference.clone(), &named)?
        {
            return Ok(record);
        }
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        match place {
            LocalImage::Rootfs(_) => Err(refuse("there is no such directory")),
            LocalImage::Oci { dir, .. } => {
                let root = Root::open(dir)
                    .map_err(|error| ImageError::read(dir, io::Error::other(error)))?;
                let source = oci::Source::Dir(&root);
                self.take_in(place, &stamp, oci::find(&source, place, &wanted)?)
            }
            LocalImage::OciArchive { file, .. } => {
                let members = open_members(&self.content, place, file)?;
                let source = oci::Source::Archive(&members);
                self.take_in(place, &stamp, oci::find(&source, place, &wanted)?)
            }
            LocalImage::DockerArchive { file, .. } => {
                let members = open_members(&self.content, place, file)?;
                self.take_in(place, &stamp, docker::find(&members, place)?)
            }
        }
    }

    fn take_in(
        &self,
        place: &LocalImage,
        stamp: &str,
        found: Found<'_>,
    ) -> Result<ImageRecord, ImageError> {
        let taken = self.take_layers(found)?;
        let reference = ImageRef::Local(place.clone());
        let named = Named {
            key: key(&reference).unwrap_or_default(),
            repo_digest: None,
            stamp: Some(stamp.to_owned()),
            size_bytes: taken.size_bytes,
            manifest: taken.manifest,
        };
        self.publish(&reference, &named, &taken.blobs)
    }

    fn take_layers(&self, found: Found<'_>) -> Result<Taken, ImageError> {
        let mut records: Vec<LayerRecord> = Vec::new();
        for (job, open) in found.layers {
            records.push(match self.layers.prepare(job)? {
                Prepared::Present(record) => record,
                Prepared::Claimed(claim) if claim.wanted_from_byte().is_none() => {
                    claim.run(Box::new(io::empty()))?
                }
                Prepared::Claimed(claim) => claim.restarted()?.run(open()?)?,
            });
        }
        let blobs_of = records.iter().map(|record| &record.blob);
        let (manifest, manifest_bytes) = match found.manifest {
            Some(manifest) => manifest,
            None => manifest::write(&found.config, blobs_of),
        };
        let digest = manifest.digest.clone();
        Ok(Taken {
            manifest,
            blobs: [found.config, (digest, manifest_bytes)],
            size_bytes: records.iter().map(|record| record.size_bytes).sum(),
        })
    }
}

fn refuse(place: &LocalImage, reason: &str) -> ImageError {
    ImageError::RefuseLocal {
        reference: Box::new(ImageRef::Local(place.clone())),
        reason: reason.to_owned(),
    }
}

/// Returns a text that changes when the image at a place does.
fn stamp(place: &LocalImage) -> Result<String, ImageError> {
    if let LocalImage::Oci { dir, .. } = place {
        let index = store::read_bounded(&dir.join("index.json"), LISTING_LIMIT_BYTES);
        return match index {
            Ok(bytes) => Ok(Digest::sha256_of(&bytes).to_string()),
            Err(error) if error.is_not_found() => Err(refuse(
                place,
                "there is no `index.json`, so it is no OCI image layout",
            )),
            Err(error) => Err(error.into()),
        };
    }
    let path = place.path();
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => Ok(format!(
            "{} bytes, inode {}, changed {}.{:09}",
            file.len(),
            file.ino(),
            file.ctime(),
            file.ctime_nsec()
        )),
        Ok(_) => Err(refuse(place, "it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(refuse(place, "there is no such file"))
        }
        Err(error) => Err(ImageError::read(path, error)),
    }
}

/// Lists what a tar file has; a compressed one is inflated into a nameless file first.
fn open_members(content: &Content, place: &LocalImage, path: &Path) -> Result<Members, ImageError> {
    let open = || File::open(path).map_err(|error| ImageError::read(path, error));
    let decoder = Decoder::new(open()?).map_err(|error| ImageError::read(path, error))?;
    let file = if decoder.is_plain() {
        open()?
    } else {
        spooled(content, decoder)?
    };
    list_members(place, path, file)
}

/// Writes a stream into a file without a name, so that it can be read at any place.
fn spooled(content: &Content, mut source: impl io::Read) -> Result<File, ImageError> {
    let room = content.root().join("ingest");
    let inflated = members::inflate(&mut source, &room);
    inflated.map_err(|error| ImageError::write(&room, error))
}

fn list_members(place: &LocalImage, path: &Path, file: File) -> Result<Members, ImageError> {
    Members::list(BufReader::with_capacity(64 << 10, file)).map_err(|error| match error {
        members::ListError::Refused(reason) => refuse(place, reason),
        members::ListError::Io(error) => ImageError::read(path, error),
    })
}

/// Pairs diff ids with their chains, lowest first.
fn chained(diff_ids: &[Digest]) -> impl Iterator<Item = (Digest, &Digest)> {
    chain_ids(diff_ids).into_iter().zip(diff_ids)
}
