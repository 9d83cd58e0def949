//! An image's name into its manifest and blobs, asked for at every place that may have them.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::RegistrySettings;
use super::auth::Credentials;
use super::client::{Client, Request, RequestError, read_limited};
use crate::runtime::image::ImageError;
use crate::runtime::image::manifest::{self, Descriptor, Document, MANIFEST_LIMIT_BYTES};
use crate::value::{Digest, ImageRef, RegistryRef};

/// What is told when a request is sent again: why, and how many were sent.
pub(in crate::runtime::image) type OnRetry<'a> = &'a (dyn Fn(&str, u32) + Sync);

/// All places that may have one image.
#[derive(Debug)]
pub(in crate::runtime::image) struct Remote {
    reference: RegistryRef,
    clients: Vec<Client>,
}

/// The place that has it.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime::image) struct Source<'a> {
    pub(super) client: &'a Client,
    pub(super) reference: &'a RegistryRef,
}

/// A manifest or index as it came, with its true digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime::image) struct Fetched {
    pub(in crate::runtime::image) digest: Digest,
    pub(in crate::runtime::image) bytes: Vec<u8>,
    pub(in crate::runtime::image) document: Document,
}

/// A top document as it came, whose digest was checked, before anybody reads it.
#[derive(Debug)]
pub(in crate::runtime::image) struct Raw {
    pub(in crate::runtime::image) digest: Digest,
    pub(in crate::runtime::image) bytes: Vec<u8>,
    content_type: Option<String>,
}

impl Raw {
    /// Reads it as the manifest or index of a container image.
    fn into_image(self) -> Result<Fetched, ImageError> {
        let document = manifest::parse(&self.bytes, &self.digest, self.content_type.as_deref());
        Ok(Fetched {
            document: document?,
            digest: self.digest,
            bytes: self.bytes,
        })
    }
}

impl Fetched {
    /// Returns what points to it.
    pub(in crate::runtime::image) fn descriptor(&self) -> Descriptor {
        let media_type = match self.document {
            Document::Manifest(_) => manifest::OCI_MANIFEST,
            Document::Index(_) => manifest::OCI_INDEX,
        };
        let own = manifest::own_media_type(&self.bytes);
        Descriptor {
            media_type: own.unwrap_or_else(|| media_type.to_owned()),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
        }
    }
}

impl Remote {
    pub(in crate::runtime::image) fn new(
        reference: &RegistryRef,
        settings: &RegistrySettings,
        credentials: &Credentials,
    ) -> Result<Self, ImageError> {
        let mut clients = Vec::new();
        for endpoint in settings.endpoints(reference.registry())? {
            let name = endpoint.name();
            let client = Client::new(endpoint, reference.repository(), credentials);
            clients.push(client.map_err(|error| explain(error, reference, &name, ""))?);
        }
        Ok(Self {
            reference: reference.clone(),
            clients,
        })
    }

    /// Asks for the top document of the image, place by place, until one has it.
    pub(in crate::runtime::image) async fn resolve(
        &self,
        on_retry: OnRetry<'_>,
    ) -> Result<(Source<'_>, Fetched), ImageError> {
        self.resolve_as(&Raw::into_image, on_retry).await
    }

    /// The same for any kind of document; a place where it is not of that kind does not have it.
    pub(in crate::runtime::image) async fn resolve_as<T>(
        &self,
        read: &(dyn Fn(Raw) -> Result<T, ImageError> + Sync),
        on_retry: OnRetry<'_>,
    ) -> Result<(Source<'_>, T), ImageError> {
        let mut refusals = Refusals::default();
        for client in &self.clients {
            let source = Source {
                client,
                reference: &self.reference,
            };
            let raw = source
                .raw(self.tag_or_digest(), self.reference.digest(), on_retry)
                .await;
            match raw.and_then(|raw| read(raw).map_err(RequestError::Local)) {
                Ok(document) => return Ok((source, document)),
                Err(error) => refusals.note(client, error),
            }
        }
        Err(refusals.into_error(&self.reference))
    }

    /// Asks for the digest of the top document alone.
    pub(in crate::runtime::image) async fn digest(
        &self,
        on_retry: OnRetry<'_>,
    ) -> Result<Digest, ImageError> {
        let mut refusals = Refusals::default();
        for client in &self.clients {
            let request = manifest_request(Method::HEAD, &self.tag_or_digest());
            match client.send(&request, on_retry).await {
                Ok(response) => match content_digest(response.headers()) {
                    Some(digest) => return Ok(digest),
                    None => return Ok(self.resolve(on_retry).await?.1.digest),
                },
                Err(error) => refusals.note(client, error),
            }
        }
        Err(refusals.into_error(&self.reference))
    }

    fn tag_or_digest(&self) -> String {
        let digest = self.reference.digest().map(ToString::to_string);
        let tag = || self.reference.tag().unwrap_or("latest").to_owned();
        digest.unwrap_or_else(tag)
    }
}

impl Source<'_> {
    /// Gets the manifest of this digest.
    pub(in crate::runtime::image) async fn manifest_of(
        &self,
        descriptor: &Descriptor,
        on_retry: OnRetry<'_>,
    ) -> Result<Fetched, ImageError> {
        self.raw_of(&descriptor.digest, on_retry)
            .await?
            .into_image()
    }

    /// Gets the document of this digest.
    pub(in crate::runtime::image) async fn raw_of(
        &self,
        digest: &Digest,
        on_retry: OnRetry<'_>,
    ) -> Result<Raw, ImageError> {
        let raw = self.raw(digest.to_string(), Some(digest), on_retry).await;
        raw.map_err(|error| self.explain(error, &format!("manifests/{digest}")))
    }

    async fn raw(
        &self,
        tag_or_digest: String,
        expected: Option<&Digest>,
        on_retry: OnRetry<'_>,
    ) -> Result<Raw, RequestError> {
        let request = manifest_request(Method::GET, &tag_or_digest);
        let response = self.client.send(&request, on_retry).await?;
        let content_type = media_type(response.headers());
        let announced = content_digest(response.headers());
        let bytes = read_limited(response, MANIFEST_LIMIT_BYTES).await?;
        let expected = expected.cloned().or(announced);
        let digest = check_digest(&bytes, expected.as_ref()).map_err(RequestError::Local)?;
        Ok(Raw {
            digest,
            bytes,
            content_type,
        })
    }

    /// Gets a small blob whole.
    pub(in crate::runtime::image) async fn small_blob(
        &self,
        descriptor: &Descriptor,
        limit_bytes: u64,
        on_retry: OnRetry<'_>,
    ) -> Result<Vec<u8>, ImageError> {
        let path = format!("blobs/{}", descriptor.digest);
        let request = Request {
            method: Method::GET,
            path: path.clone(),
            is_manifest: false,
            from_byte: 0,
        };
        let fetch = async {
            let response = self.client.send(&request, on_retry).await?;
            read_limited(response, limit_bytes).await
        };
        let bytes = fetch.await.map_err(|error| self.explain(error, &path))?;
        check_digest(&bytes, Some(&descriptor.digest))?;
        Ok(bytes)
    }

    pub(super) fn explain(&self, error: RequestError, path: &str) -> ImageError {
        explain(error, self.reference, &self.client.endpoint.name(), path)
    }
}

fn manifest_request(method: Method, tag_or_digest: &str) -> Request {
    Request {
        method,
        path: format!("manifests/{tag_or_digest}"),
        is_manifest: true,
        from_byte: 0,
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let bare = value.split(';').next().unwrap_or_default();
    Some(bare.trim().to_ascii_lowercase())
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?;
    value.to_str().ok()?.parse().ok()
}

/// Returns the digest of `bytes`, which must be the expected one.
fn check_digest(bytes: &[u8], expected: Option<&Digest>) -> Result<Digest, ImageError> {
    match expected {
        None => Ok(Digest::sha256_of(bytes)),
        Some(expected) if expected.matches(bytes) => Ok(expected.clone()),
        Some(expected) => Err(ImageError::WrongDigest {
            expected: expected.clone(),
            got: Digest::sha256_of(bytes),
        }),
    }
}

/// Why each place did not have the image, in the order they were asked.
#[derive(Default)]
struct Refusals {
    asked: Vec<String>,
    /// The answer of the last place that did not just say no: the registry itself comes last.
    telling: Option<(String, RequestError)>,
}

impl Refusals {
    fn note(&mut self, client: &Client, error: RequestError) {
        let name = client.endpoint.name();
        self.asked.push(name.clone());
        if !matches!(error, RequestError::NotFound) {
            self.telling = Some((name, error));
        }
    }

    fn into_error(self, reference: &RegistryRef) -> ImageError {
        let Some((name, error)) = self.telling else {
            return ImageError::NotFound {
                reference: Box::new(ImageRef::Registry(reference.clone())),
                asked: self.asked,
            };
        };
        let before = self.asked.into_iter().filter(|asked| *asked != name);
        let before: Vec<String> = before.collect();
        if let RequestError::Broken(source) = error {
            return ImageError::Unreachable {
                registry: name,
                others: before,
                source,
            };
        }
        explain(error, reference, &name, "manifests")
    }
}

fn explain(error: RequestError, reference: &RegistryRef, registry: &str, path: &str) -> ImageError {
    let registry = registry.to_owned();
    let bad = |registry, reason| ImageError::BadAnswer {
        registry,
        path: path.to_owned(),
        reason,
    };
    match error {
        RequestError::NotFound => bad(registry, "it does not have it".to_owned()),
        RequestError::Denied => ImageError::Unauthorized {
            reference: Box::new(ImageRef::Registry(reference.clone())),
            registry,
        },
        RequestError::Broken(source) => ImageError::Unreachable {
            registry,
            others: Vec::new(),
            source,
        },
        RequestError::Bad(reason) | RequestError::Short(reason) => bad(registry, reason),
        RequestError::Local(error) => error,
    }
}
