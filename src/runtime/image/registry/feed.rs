//! A blob's bytes into a channel, whatever the connection does in between.
//!
//! The receiver checks size and digest; this side only makes sure that byte `n` is byte `n`: it goes on
//! by `Range` where a connection broke, skips what a registry sends again, and refuses another range.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::client::{Request, RequestError, back_off, what_broke};
use super::remote::{OnRetry, Source};
use crate::runtime::image::ImageError;
use crate::runtime::image::manifest::Descriptor;

/// How many connections in a row may break after next to nothing: less than [`RATE_LIMIT_BYTES`] and not the end.
const BARREN_LIMIT: u32 = 5;
/// How many of them may end in silence, each of which lasts long.
const SILENT_LIMIT: u32 = 2;
/// A connection that brings less than this in [`RATE_WINDOW`] counts as broken.
const RATE_LIMIT_BYTES: u64 = 16 << 10;
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// What the receiver of a blob gets: bytes in order, or the news that there will be no more.
#[derive(Debug)]
pub(in crate::runtime::image) enum Portion {
    /// The next bytes.
    Bytes(Bytes),
    /// The blob is complete.
    End,
}

/// Who is told how it goes.
#[derive(Clone, Copy)]
pub(in crate::runtime::image) struct Watch<'a> {
    pub(in crate::runtime::image) on_retry: OnRetry<'a>,
    /// Told how many bytes were passed on, from the beginning of the blob.
    pub(in crate::runtime::image) on_bytes: &'a (dyn Fn(u64) + Sync),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

enum Stop {
    /// Nobody wants more bytes.
    Unwanted,
    /// The request was sent several times, and no answer began.
    Unanswered(RequestError),
    Failed(RequestError),
}

impl Source<'_> {
    /// Sends the blob from byte `from_byte` on into `channel`.
    ///
    /// Returns early, without an error, when the receiver is gone: it knows why.
    pub(in crate::runtime::image) async fn feed(
        &self,
        descriptor: &Descriptor,
        from_byte: u64,
        channel: Sender<Portion>,
        watch: Watch<'_>,
    ) -> Result<(), ImageError> {
        let mut at_byte = from_byte;
        let mut barren = 0;
        while at_byte < descriptor.size {
            let before = at_byte;
            let (error, limit) = match self.run(descriptor, &mut at_byte, &channel, watch).await {
                Ok(()) => continue,
                Err(Stop::Unwanted) => return Ok(()),
                Err(Stop::Unanswered(error)) => (error, 0),
                Err(Stop::Failed(error)) if error.is_silence() => (error, SILENT_LIMIT),
                Err(Stop::Failed(error)) => (error, BARREN_LIMIT),
            };
            barren = barren_after(barren, at_byte - before);
            let reason = match &error {
                RequestError::Broken(error) => Some(what_broke(error)),
                RequestError::Short(_) => Some("the connection broke".to_owned()),
                RequestError::NotFound
                | RequestError::Denied
                | RequestError::Bad(_)
                | RequestError::Local(_) => None,
            };
            let Some(reason) = reason.filter(|_| barren < limit) else {
                return Err(self.explain(error, &format!("blobs/{}", descriptor.digest)));
            };
            (watch.on_retry)(&reason, barren);
            tokio::time::sleep(back_off(barren)).await;
        }
        // A receiver that is gone already has its own reason.
        drop(channel.send(Portion::End).await);
        Ok(())
    }

    /// Sends what one connection brings.
    async fn run(
        &self,
        descriptor: &Descriptor,
        at_byte: &mut u64,
        channel: &Sender<Portion>,
        watch: Watch<'_>,
    ) -> Result<(), Stop> {
        let request = Request {
            method: Method::GET,
            path: format!("blobs/{}", descriptor.digest),
            is_manifest: false,
            from_byte: *at_byte,
        };
        let sent = self.client.send(&request, watch.on_retry).await;
        let mut response = sent.map_err(|error| {
            if error.is_silence() {
                Stop::Unanswered(error)
            } else {
                Stop::Failed(error)
            }
        })?;
        let mut skip = bytes_to_skip(&response, *at_byte).map_err(Stop::Failed)?;
        let mut window = (Instant::now(), 0_u64);
        while let Some(chunk) = next_chunk(&mut response).await? {
            check_rate(&mut window, chunk.len())?;
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let fresh = chunk.slice(usize::try_from(skipped).unwrap_or(chunk.len())..);
            if fresh.is_empty() {
                continue;
            }
            if *at_byte + fresh.len() as u64 > descriptor.size {
                let reason = format!("it has more than the announced {} bytes", descriptor.size);
                return Err(Stop::Failed(RequestError::Bad(reason)));
            }
            *at_byte += fresh.len() as u64;
            let sent = channel.send(Portion::Bytes(fresh)).await;
            sent.map_err(|_| Stop::Unwanted)?;
            (watch.on_bytes)(*at_byte);
        }
        if *at_byte < descriptor.size {
            let reason = format!("it ends after {at_byte} of {} bytes", descriptor.size);
            return Err(Stop::Failed(RequestError::Short(reason)));
        }
        Ok(())
    }
}

/// Counts the connections in a row that brought next to nothing.
fn barren_after(barren: u32, brought_bytes: u64) -> u32 {
    if brought_bytes < RATE_LIMIT_BYTES {
        barren + 1
    } else {
        1
    }
}

async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, Stop> {
    let chunk = response.chunk().await;
    chunk.map_err(|error| Stop::Failed(RequestError::Broken(error)))
}

/// Refuses a connection that trickles for a whole window.
fn check_rate(window: &mut (Instant, u64), count: usize) -> Result<(), Stop> {
    window.1 += count as u64;
    if window.0.elapsed() < RATE_WINDOW {
        return Ok(());
    }
    if window.1 < RATE_LIMIT_BYTES {
        let reason = "it sends less than 16 KiB in a minute".to_owned();
        return Err(Stop::Failed(RequestError::Bad(reason)));
    }
    *window = (Instant::now(), 0);
    Ok(())
}

/// Says how many bytes at the start of the answer are here already.
fn bytes_to_skip(response: &Response, at_byte: u64) -> Result<u64, RequestError> {
    if at_byte == 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(0);
    }
    if response.status() != StatusCode::PARTIAL_CONTENT {
        // The registry knows no ranges and starts over.
        return Ok(at_byte);
    }
    let range = response.headers().get(CONTENT_RANGE);
    let first = range
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes "))
        .and_then(|value| value.split('-').next())
        .and_then(|first| first.parse::<u64>().ok());
    if first == Some(at_byte) {
        return Ok(0);
    }
    Err(RequestError::Bad(
        "it sends another range than asked for".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_bring_a_few_bytes_each_end_in_the_end() {
        let brought = [1, 100, RATE_LIMIT_BYTES - 1, 1, 1];
        let barren = brought.into_iter().fold(0, barren_after);
        assert_eq!(barren, BARREN_LIMIT);
        assert_eq!(barren_after(barren, RATE_LIMIT_BYTES), 1);
    }
}
