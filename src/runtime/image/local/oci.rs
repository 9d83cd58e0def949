//! An OCI image layout, as a directory or in a tar file, into one image of it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::members::Members;
use super::{Found, LISTING_LIMIT_BYTES, OpenLayer, refuse};
use crate::runtime::image::ImageError;
use crate::runtime::image::config::{self, CONFIG_LIMIT_BYTES};
use crate::runtime::image::index::REF_NAME;
use crate::runtime::image::layer::SourceReader;
use crate::runtime::image::manifest::{
    self, Descriptor, Document, MANIFEST_LIMIT_BYTES, Manifest, Offer,
};
use crate::runtime::image::pull::jobs;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::rooted::Root;
use crate::value::{Digest, ImageRef, LocalImage, Platform};

/// Where containerd keeps the whole name of an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Where a layout's files are.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Dir(&'a Root),
    Archive(&'a Members),
}

impl Source<'_> {
    fn open(&self, name: &str) -> Result<Option<SourceReader>, io::Error> {
        match self {
            Self::Archive(members) => Ok(members.open(name)),
            Self::Dir(root) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
                let found = root.find(Path::new(name), flags);
                let Some(fd) = found.map_err(io::Error::other)? else {
                    return Ok(None);
                };
                let file = std::fs::File::from(fd);
                Ok(file
                    .metadata()?
                    .is_file()
                    .then_some(Box::new(file) as SourceReader))
            }
        }
    }

    fn read(&self, name: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, io::Error> {
        match self {
            Self::Archive(members) => members.read(name, limit_bytes),
            Self::Dir(root) => {
                let read = root.read_bounded(Path::new(name), limit_bytes);
                read.map_err(|error: KernelError| io::Error::other(error))
            }
        }
    }
}

/// Finds the image that `place` means, for the platform that is wanted.
pub(super) fn find<'a>(
    source: &'a Source<'a>,
    place: &'a LocalImage,
    wanted: &Platform,
) -> Result<Found<'a>, ImageError> {
    let reader = Reader { source, place };
    let offers = reader.offers()?;
    let chosen = reader.by_tag(&offers)?;
    reader.found(chosen, wanted)
}

/// Finds all images of a layout for one platform, each with the name it has there.
pub(super) fn find_all<'a>(
    source: &'a Source<'a>,
    place: &'a LocalImage,
    wanted: &Platform,
) -> Result<Vec<(Vec<String>, Found<'a>)>, ImageError> {
    let reader = Reader { source, place };
    let offers = reader.offers()?;
    let name = |offer: &Offer| {
        [CONTAINERD_NAME, REF_NAME]
            .iter()
            .find_map(|key| Some(offer.annotations.get(*key)?.as_str()?.to_owned()))
    };
    let images = offers.iter().map(|offer| {
        let names = name(offer).into_iter().collect();
        Ok((names, reader.found(vec![offer], wanted)?))
    });
    images.collect()
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    source: &'a Source<'a>,
    place: &'a LocalImage,
}

impl<'a> Reader<'a> {
    fn offers(&self) -> Result<Vec<Offer>, ImageError> {
        let listing = self.required("index.json", LISTING_LIMIT_BYTES)?;
        let digest = Digest::sha256_of(&listing);
        match manifest::parse(&listing, &digest, None)? {
            Document::Index(offers) => Ok(offers),
            Document::Manifest(_) => Err(refuse(self.place, "its `index.json` is not an index")),
        }
    }

    /// Follows index entries to one image.
    fn found(self, chosen: Vec<&Offer>, wanted: &Platform) -> Result<Found<'a>, ImageError> {
        let (descriptor, bytes, image) = self.image(chosen, wanted)?;
        let config = self.blob(&image.config, CONFIG_LIMIT_BYTES)?;
        let blob = config::parse(&config, &image.config.digest)?;
        let jobs = jobs(&descriptor.digest, &image, &blob)?;
        let open =
            |layer: Descriptor| -> OpenLayer<'a> { Box::new(move || self.open(&layer.digest)) };
        let layers = jobs.into_iter().zip(image.layers.iter().cloned().map(open));
        Ok(Found {
            config: (image.config.digest, config),
            manifest: Some((descriptor, bytes)),
            layers: layers.collect(),
        })
    }

    /// Follows the index to one manifest, through one more index where platforms are listed in one.
    fn image(
        &self,
        mut chosen: Vec<&Offer>,
        wanted: &Platform,
    ) -> Result<(Descriptor, Vec<u8>, Manifest), ImageError> {
        let reference = ImageRef::Local(self.place.clone());
        if let [only] = chosen[..]
            && let (_, _, Document::Index(inner)) = self.document(&only.descriptor)?
        {
            let descriptor = manifest::choose(&inner, wanted, &reference)?.clone();
            return self.manifest(&descriptor);
        }
        if let [only] = chosen[..] {
            return self.manifest(&only.descriptor);
        }
        chosen.retain(|offer| offer.platform.is_some());
        let offers: Vec<Offer> = chosen.into_iter().cloned().collect();
        let descriptor = manifest::choose(&offers, wanted, &reference)?.clone();
        self.manifest(&descriptor)
    }

    /// Returns the entries of the wanted tag, or all of them if none is wanted.
    fn by_tag<'b>(&self, offers: &'b [Offer]) -> Result<Vec<&'b Offer>, ImageError> {
        let name = |offer: &Offer, key: &str| {
            let value = offer.annotations.get(key)?;
            value.as_str().map(ToOwned::to_owned)
        };
        let Some(tag) = self.place.tag() else {
            let mut tags: Vec<String> = offers.iter().filter_map(|o| name(o, REF_NAME)).collect();
            tags.sort();
            tags.dedup();
            if tags.len() > 1 {
                let reason = format!("it has several images, name one of: {}", tags.join(", "));
                return Err(refuse(self.place, &reason));
            }
            return match offers {
                [] => Err(refuse(self.place, "it has no image")),
                some => Ok(some.iter().collect()),
            };
        };
        let is_tagged = |offer: &&Offer| {
            [REF_NAME, CONTAINERD_NAME]
                .iter()
                .any(|key| name(offer, key).as_deref() == Some(tag))
        };
        let tagged: Vec<&Offer> = offers.iter().filter(is_tagged).collect();
        if tagged.is_empty() {
            let reason = format!("it has no image of the name `{tag}`");
            return Err(refuse(self.place, &reason));
        }
        Ok(tagged)
    }

    fn manifest(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Descriptor, Vec<u8>, Manifest), ImageError> {
        match self.document(descriptor)? {
            (descriptor, bytes, Document::Manifest(manifest)) => Ok((descriptor, bytes, manifest)),
            (_, _, Document::Index(_)) => Err(ImageError::RefuseManifest {
                digest: descriptor.digest.clone(),
                reason: "it is an index inside an index".to_owned(),
            }),
        }
    }

    fn document(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Descriptor, Vec<u8>, Document), ImageError> {
        let bytes = self.blob(descriptor, MANIFEST_LIMIT_BYTES)?;
        let media_type = Some(descriptor.media_type.as_str());
        let document = manifest::parse(&bytes, &descriptor.digest, media_type)?;
        Ok((descriptor.clone(), bytes, document))
    }

    /// Reads a small blob and checks it.
    fn blob(&self, descriptor: &Descriptor, limit_bytes: u64) -> Result<Vec<u8>, ImageError> {
        let bytes = self.required(&blob_name(&descriptor.digest), limit_bytes)?;
        if descriptor.digest.matches(&bytes) {
            return Ok(bytes);
        }
        Err(ImageError::WrongDigest {
            expected: descriptor.digest.clone(),
            got: Digest::sha256_of(&bytes),
        })
    }

    fn open(&self, digest: &Digest) -> Result<SourceReader, ImageError> {
        let name = blob_name(digest);
        let opened = self.source.open(&name);
        let opened = opened.map_err(|error| ImageError::read(self.path(&name), error))?;
        opened.ok_or_else(|| self.lacks(&name))
    }

    fn required(&self, name: &str, limit_bytes: u64) -> Result<Vec<u8>, ImageError> {
        let read = self.source.read(name, limit_bytes);
        let read = read.map_err(|error| ImageError::read(self.path(name), error))?;
        read.ok_or_else(|| self.lacks(name))
    }

    fn lacks(&self, name: &str) -> ImageError {
        refuse(self.place, &format!("it has no usable `{name}`"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }
}

/// Returns the name of a blob inside a layout.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}
