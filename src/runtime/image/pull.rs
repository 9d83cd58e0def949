//! A name into an image that is ready to run: manifest, configuration, then all layers at once.
//!
//! Network and disk overlap: bytes go from the connection through a channel into the threads that check
//! and unpack them. **Invariant:** the name is written last; until then nobody can find the image.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::config::{self, CONFIG_LIMIT_BYTES, ConfigBlob};
use super::images::chain_ids;
use super::index::{Named, key};
use super::layer::{Below, SourceReader};
use super::layers::{Claim, LayerJob, LayerRecord, Prepared};
use super::manifest::{self, Descriptor, Document, Manifest};
use super::registry::{Credentials, Fetched, Portion, RegistrySettings, Remote, Source, Watch};
use super::{ImageError, ImageRecord, LayerState, PullProgress, Store};
use crate::runtime::kernel::thread;
use crate::value::{Digest, ImageRef, Platform, RegistryRef};

/// How many layers are fetched and unpacked at the same time.
const LAYERS_AT_ONCE: usize = 3;
/// How many portions wait between the connection and the disk.
const PORTIONS: usize = 64;

/// Who is told how a pull goes; called often, from one thread at a time.
pub type Progress<'a> = &'a (dyn Fn(PullProgress) + Sync);

/// How to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// What the image must be for; `None` is this machine.
    pub platform: Option<Platform>,
    /// Where to look.
    pub registries: RegistrySettings,
    /// What to show to registries that ask.
    pub credentials: Credentials,
}

/// Asks which digest a name has now; needs no store.
pub async fn remote_digest(
    name: &RegistryRef,
    registries: &RegistrySettings,
    credentials: &Credentials,
) -> Result<Digest, ImageError> {
    let remote = Remote::new(name, registries, credentials)?;
    remote.digest(&|_, _| {}).await
}

impl Store {
    /// Gets an image, by its registry or from its place on this disk, and everything that it needs.
    ///
    /// What is here already is not fetched again, and a part that an interrupted pull left is gone on
    /// with. After an error nothing of the image can be found that was not there before.
    pub async fn pull(
        &self,
        reference: &ImageRef,
        options: &PullOptions,
        progress: Progress<'_>,
    ) -> Result<ImageRecord, ImageError> {
        let store = self.clone();
        match reference {
            ImageRef::Local(place) => {
                let place = place.clone();
                let platform = options.platform.clone();
                blocking(move || store.import(&place, platform.as_ref())).await
            }
            ImageRef::Registry(name) => {
                let _keep = blocking(move || {
                    let keep = store.keep()?;
                    store.layers.collect()?;
                    Ok(keep)
                })
                .await?;
                self.pull_registry(name, options, progress).await
            }
        }
    }

    /// Asks which digest a name has now, without pulling; `None` for a place on this disk.
    pub async fn digest_of(
        &self,
        reference: &ImageRef,
        options: &PullOptions,
    ) -> Result<Option<Digest>, ImageError> {
        let ImageRef::Registry(name) = reference else {
            return Ok(None);
        };
        let digest = remote_digest(name, &options.registries, &options.credentials);
        digest.await.map(Some)
    }

    async fn pull_registry(
        &self,
        name: &RegistryRef,
        options: &PullOptions,
        progress: Progress<'_>,
    ) -> Result<ImageRecord, ImageError> {
        let reference = ImageRef::Registry(name.clone());
        let remote = Remote::new(name, &options.registries, &options.credentials)?;
        let on_retry = |reason: &str, attempt| {
            let reason = reason.to_owned();
            progress(PullProgress::Retry { reason, attempt });
        };
        let (source, top) = remote.resolve(&on_retry).await?;
        let image = choose(&source, &top, &reference, options).await?;
        let manifest = image_manifest(&image)?;
        let config = source
            .small_blob(&manifest.config, CONFIG_LIMIT_BYTES, &on_retry)
            .await?;
        let blob = config::parse(&config, &manifest.config.digest)?;
        check_platform(&reference, &blob, options)?;
        let jobs = jobs(&image.digest, manifest, &blob)?;
        progress(PullProgress::Resolved {
            digest: top.digest.clone(),
            layers: jobs.len(),
            size_bytes: manifest.layers.iter().map(|layer| layer.size).sum(),
        });
        let pulled = futures_util::stream::iter(jobs)
            .map(|job| self.layer(&source, job, progress))
            .buffer_unordered(LAYERS_AT_ONCE);
        let records: Vec<LayerRecord> = pulled.try_collect().await?;
        let named = Named {
            key: key(&reference).unwrap_or_default(),
            manifest: image.descriptor(),
            repo_digest: Some(top.digest.clone()),
            stamp: None,
            size_bytes: records.iter().map(|record| record.size_bytes).sum(),
        };
        let blobs = vec![
            (manifest.config.digest.clone(), config),
            (image.digest.clone(), image.bytes.clone()),
            (top.digest, top.bytes),
        ];
        let store = self.clone();
        blocking(move || store.publish(&reference, &named, &blobs)).await
    }

    /// Keeps the small blobs of an image, then its name; its layers are here already.
    pub(super) fn publish(
        &self,
        reference: &ImageRef,
        named: &Named,
        blobs: &[(Digest, Vec<u8>)],
    ) -> Result<ImageRecord, ImageError> {
        for (digest, bytes) in blobs {
            self.content.put(digest, bytes)?;
        }
        self.index.set(named)?;
        let record = self.record(reference.clone(), named)?;
        record.ok_or_else(|| ImageError::NotFound {
            reference: Box::new(reference.clone()),
            asked: vec!["the image store".to_owned()],
        })
    }

    async fn layer(
        &self,
        source: &Source<'_>,
        job: LayerJob,
        progress: Progress<'_>,
    ) -> Result<LayerRecord, ImageError> {
        let layers = self.layers.clone();
        let again = job.clone();
        let Some(blob) = job.blob.clone() else {
            return Err(ImageError::Interrupted);
        };
        let claim = match blocking(move || layers.prepare(job)).await? {
            Prepared::Present(record) => {
                report(progress, &blob.digest, LayerState::Present);
                return Ok(record);
            }
            Prepared::Claimed(claim) => claim,
        };
        let was_resumed = claim.wanted_from_byte() != Some(0);
        match fetch(source, *claim, &blob, progress).await {
            // What an earlier try left may be what is wrong: its bytes were never synced.
            Err(ImageError::WrongDigest { .. }) if was_resumed => {
                let layers = self.layers.clone();
                match blocking(move || layers.prepare(again)).await? {
                    Prepared::Present(record) => Ok(record),
                    Prepared::Claimed(claim) => fetch(source, *claim, &blob, progress).await,
                }
            }
            result => result,
        }
    }
}

/// Fetches what is missing of a layer's blob while another thread checks and unpacks it.
async fn fetch(
    source: &Source<'_>,
    claim: Claim,
    blob: &Descriptor,
    progress: Progress<'_>,
) -> Result<LayerRecord, ImageError> {
    let Some(from_byte) = claim.wanted_from_byte() else {
        report(progress, &blob.digest, LayerState::Finishing);
        let record = blocking(move || claim.run(Box::new(io::empty()))).await?;
        report(progress, &blob.digest, LayerState::Done);
        return Ok(record);
    };
    let (sender, receiver) = mpsc::channel(PORTIONS);
    let reader: SourceReader = Box::new(PortionReader {
        receiver,
        portion: Bytes::new(),
        is_over: false,
    });
    let unpack = blocking(move || claim.run(reader));
    let on_bytes = |done_bytes| {
        let total_bytes = blob.size;
        let state = LayerState::Fetching {
            done_bytes,
            total_bytes,
        };
        report(progress, &blob.digest, state);
    };
    let feed = async {
        let watch = Watch {
            on_retry: &|reason, attempt| {
                let reason = reason.to_owned();
                progress(PullProgress::Retry { reason, attempt });
            },
            on_bytes: &on_bytes,
        };
        let fed = source.feed(blob, from_byte, sender, watch).await;
        report(progress, &blob.digest, LayerState::Finishing);
        fed
    };
    // The feeder fails first or not at all: when the other side fails, it only stops.
    let (fed, unpacked) = futures_util::join!(feed, unpack);
    fed?;
    let record = unpacked?;
    report(progress, &blob.digest, LayerState::Done);
    Ok(record)
}

fn report(progress: Progress<'_>, digest: &Digest, state: LayerState) {
    progress(PullProgress::Layer {
        digest: digest.clone(),
        state,
    });
}

/// Runs what waits for the disk or for a lock on a thread where that is fine.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let done = thread::beside(act).await;
    done.map_err(|source| ImageError::Thread { source })?
}

/// Returns the document of the image itself: the top one, or the one for the platform of an index.
async fn choose(
    source: &Source<'_>,
    top: &Fetched,
    reference: &ImageRef,
    options: &PullOptions,
) -> Result<Fetched, ImageError> {
    let Document::Index(offers) = &top.document else {
        return Ok(top.clone());
    };
    let wanted = options.platform.clone().unwrap_or_else(Platform::host);
    let descriptor = manifest::choose(offers, &wanted, reference)?;
    source.manifest_of(descriptor, &|_, _| {}).await
}

fn image_manifest(image: &Fetched) -> Result<&Manifest, ImageError> {
    match &image.document {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(ImageError::RefuseManifest {
            digest: image.digest.clone(),
            reason: "it is an index inside an index".to_owned(),
        }),
    }
}

/// Refuses an image for another platform than the one that was asked for by name.
pub(super) fn check_platform(
    reference: &ImageRef,
    blob: &ConfigBlob,
    options: &PullOptions,
) -> Result<(), ImageError> {
    let Some(wanted) = &options.platform else {
        return Ok(());
    };
    if wanted.preference(&blob.platform).is_some() {
        return Ok(());
    }
    Err(ImageError::NoPlatform {
        reference: Box::new(reference.clone()),
        wanted: wanted.clone(),
        offered: vec![blob.platform.to_string()],
    })
}

/// Pairs the layers of a manifest with the digests that its configuration promises.
pub(super) fn jobs(
    digest: &Digest,
    manifest: &Manifest,
    blob: &ConfigBlob,
) -> Result<Vec<LayerJob>, ImageError> {
    if manifest.layers.len() != blob.diff_ids.len() {
        return Err(ImageError::RefuseManifest {
            digest: digest.clone(),
            reason: format!(
                "it has {} layers, its configuration {}",
                manifest.layers.len(),
                blob.diff_ids.len()
            ),
        });
    }
    let chains = chain_ids(&blob.diff_ids).into_iter();
    let pairs = chains.zip(&blob.diff_ids).zip(&manifest.layers);
    Ok(pairs
        .enumerate()
        .map(|(position, ((chain, diff_id), layer))| LayerJob {
            chain,
            diff_id: diff_id.clone(),
            blob: Some(layer.clone()),
            below: if position == 0 {
                Below::Nothing
            } else {
                Below::Layers
            },
        })
        .collect())
}

/// The receiving end of a feeder as a stream of bytes.
#[derive(Debug)]
struct PortionReader {
    receiver: mpsc::Receiver<Portion>,
    portion: Bytes,
    is_over: bool,
}

impl Read for PortionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.portion.is_empty() && !self.is_over {
            match self.receiver.blocking_recv() {
                Some(Portion::Bytes(bytes)) => self.portion = bytes,
                Some(Portion::End) => self.is_over = true,
                // The feeder gave up, and says itself why.
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let count = buffer.len().min(self.portion.len());
        self.portion.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
