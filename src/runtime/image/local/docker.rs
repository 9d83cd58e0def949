//! What `docker save` writes, into one image of it.

use serde::Deserialize;

use super::members::Members;
use super::{Found, LISTING_LIMIT_BYTES, OpenLayer, chained, refuse};
use crate::runtime::image::ImageError;
use crate::runtime::image::config::{self, CONFIG_LIMIT_BYTES};
use crate::runtime::image::layer::Below;
use crate::runtime::image::layers::LayerJob;
use crate::runtime::image::manifest::{Descriptor, OCI_LAYER};
use crate::value::{Digest, ImageRef, LocalImage};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Finds the image that `place` means.
pub(super) fn find<'a>(
    members: &'a Members,
    place: &'a LocalImage,
) -> Result<Found<'a>, ImageError> {
    let image = choose(list(members, place)?, place)?;
    read_image(members, place, image)
}

/// Finds all images of an archive, each with the names it has there.
pub(super) fn find_all<'a>(
    members: &'a Members,
    place: &'a LocalImage,
) -> Result<Vec<(Vec<String>, Found<'a>)>, ImageError> {
    let listed = list(members, place)?.into_iter();
    let images = listed.map(|image| {
        let names = image.repo_tags.clone().unwrap_or_default();
        Ok((names, read_image(members, place, image)?))
    });
    images.collect()
}

fn list(members: &Members, place: &LocalImage) -> Result<Vec<Listed>, ImageError> {
    let listing = required(members, place, "manifest.json", LISTING_LIMIT_BYTES)?;
    serde_json::from_slice(&listing)
        .map_err(|error| refuse(place, &format!("its `manifest.json` is not one: {error}")))
}

fn required(
    members: &Members,
    place: &LocalImage,
    name: &str,
    limit_bytes: u64,
) -> Result<Vec<u8>, ImageError> {
    let read = members.read(name, limit_bytes);
    let read = read.map_err(|error| ImageError::read(place.path(), error))?;
    read.ok_or_else(|| refuse(place, &format!("it has no usable `{name}`")))
}

fn read_image<'a>(
    members: &'a Members,
    place: &'a LocalImage,
    image: Listed,
) -> Result<Found<'a>, ImageError> {
    let config = required(members, place, &image.config, CONFIG_LIMIT_BYTES)?;
    let digest = Digest::sha256_of(&config);
    check_name(&image.config, &digest)?;
    let blob = config::parse(&config, &digest)?;
    if blob.diff_ids.len() != image.layers.len() {
        return Err(refuse(
            place,
            "its configuration has another number of layers",
        ));
    }
    let pairs = chained(&blob.diff_ids).zip(image.layers).enumerate();
    let layers = pairs.map(|(position, ((chain, diff_id), name))| {
        let job = LayerJob {
            chain,
            diff_id: diff_id.clone(),
            blob: announced(members, &name),
            below: if position == 0 {
                Below::Nothing
            } else {
                Below::Layers
            },
        };
        let open: OpenLayer<'a> = Box::new(move || {
            let opened = members.open(&name);
            opened.ok_or_else(|| refuse(place, &format!("it has no layer `{name}`")))
        });
        (job, open)
    });
    Ok(Found {
        layers: layers.collect(),
        config: (digest, config),
        manifest: None,
    })
}

/// Chooses by name, or the only one.
fn choose(listed: Vec<Listed>, place: &LocalImage) -> Result<Listed, ImageError> {
    let names: Vec<String> = listed
        .iter()
        .flat_map(|l| l.repo_tags.iter().flatten().cloned())
        .collect();
    let Some(wanted) = place.tag() else {
        let mut listed = listed.into_iter();
        return match (listed.next(), listed.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(refuse(place, "it has no image")),
            (Some(_), Some(_)) => {
                let reason = format!("it has several images, name one of: {}", names.join(", "));
                Err(refuse(place, &reason))
            }
        };
    };
    let same = |name: &String| match (name.parse::<ImageRef>(), wanted.parse::<ImageRef>()) {
        (Ok(name), Ok(wanted)) => name == wanted,
        _ => false,
    };
    let mut named = listed
        .into_iter()
        .filter(|l| l.repo_tags.iter().flatten().any(same));
    named.next().ok_or_else(|| {
        let reason = format!("it has no image `{wanted}`, only: {}", names.join(", "));
        refuse(place, &reason)
    })
}

/// A configuration is named by its digest; another content under that name was put there.
fn check_name(name: &str, digest: &Digest) -> Result<(), ImageError> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let hex = last.strip_suffix(".json").unwrap_or(last);
    match format!("sha256:{hex}").parse::<Digest>() {
        Ok(expected) if expected != *digest => Err(ImageError::WrongDigest {
            expected,
            got: digest.clone(),
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Newer archives keep layers as blobs of an OCI layout, named by their digest.
fn announced(members: &Members, name: &str) -> Option<Descriptor> {
    let hex = name.strip_prefix("blobs/sha256/")?;
    Some(Descriptor {
        media_type: OCI_LAYER.to_owned(),
        digest: format!("sha256:{hex}").parse().ok()?,
        size: members.size_bytes(name)?,
    })
}
