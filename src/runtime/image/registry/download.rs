//! A file behind a URL that a user names, such as a source of `ADD`: fetched whole, bounded, hashed.

use std::time::Duration;

use reqwest::redirect;

use super::client;
use crate::value::{Algorithm, Digest, Hasher};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may say nothing.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// As many redirects as `BuildKit` follows.
const REDIRECTS_LIMIT: usize = 10;

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// What the server says of its time.
    pub modified: Option<String>,
}

/// Why a file was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server was not reached, or said that it has no such file.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// It has more bytes than are taken.
    #[error("it has more than {limit_bytes} bytes")]
    TooLarge {
        /// What is taken at most.
        limit_bytes: u64,
    },
}

/// Downloads a file.
pub async fn download(url: &str, limit_bytes: u64) -> Result<Download, DownloadError> {
    client::provide_tls();
    let http = reqwest::Client::builder()
        .user_agent(concat!("consort/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .redirect(redirect::Policy::limited(REDIRECTS_LIMIT))
        .build()?;
    let mut answer = http.get(url).send().await?.error_for_status()?;
    let modified = answer.headers().get(reqwest::header::LAST_MODIFIED);
    let modified = modified
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut bytes = Vec::new();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    while let Some(chunk) = answer.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > limit_bytes {
            return Err(DownloadError::TooLarge { limit_bytes });
        }
        hasher.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    Ok(Download {
        bytes,
        digest: hasher.finish(),
        modified,
    })
}
