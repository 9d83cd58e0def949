//! A content digest: an algorithm that is trusted and a hash of exactly its length.
//!
//! **Invariant:** a [`Digest`] is safe as a file name: it is one known word and lowercase hex digits.
//! What a registry calls a digest becomes a path only through this type.

use super::as_text::as_text;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// The hash functions that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what everybody uses.
    Sha256,
    /// SHA-512, which the image specification also registers.
    Sha512,
}

impl Algorithm {
    /// Returns the word before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "read `{text}` as a digest: expected `sha256:` and 64, or `sha512:` and 128, lowercase hex digits"
)]
pub struct DigestError {
    text: String,
}

/// The digest of some content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// Computes the SHA-256 digest of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns the hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the hash as lowercase hex digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Returns the first twelve hex digits, as people write them.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }

    /// Reports whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| DigestError {
            text: text.chars().take(160).collect(),
        })
    }
}

fn parse(text: &str) -> Option<Digest> {
    let (word, hex) = text.split_once(':')?;
    let known = [Algorithm::Sha256, Algorithm::Sha512];
    let algorithm = known.into_iter().find(|known| known.name() == word)?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() != algorithm.hex_len() || !hex.bytes().all(is_hex) {
        return None;
    }
    Some(Digest {
        algorithm,
        hex: hex.to_owned(),
    })
}

as_text!(Digest);

/// Computes a digest while content streams by.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts with no content.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of all content.
    pub fn finish(self) -> Digest {
        let (algorithm, hex) = match self.0 {
            State::Sha256(hasher) => (Algorithm::Sha256, to_hex(&hasher.finalize())),
            State::Sha512(hasher) => (Algorithm::Sha512, to_hex(&hasher.finalize())),
        };
        Digest { algorithm, hex }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_known_content_are_right() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256_of(b"").to_string(), empty);
        let digest: Digest = empty.parse().unwrap();
        assert!(digest.matches(b""));
        assert!(!digest.matches(b"x"));
        let mut sha512 = Hasher::new(Algorithm::Sha512);
        sha512.update(b"abc");
        let text = sha512.finish().to_string();
        assert!(text.starts_with("sha512:ddaf35a193617aba"), "{text}");
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_not_exactly_a_known_digest_is_refused() {
        let upper = format!("sha256:{}", "A".repeat(64));
        let short = format!("sha256:{}", "a".repeat(63));
        let crossed = format!("sha512:{}", "a".repeat(64));
        let md5 = format!("md5:{}", "a".repeat(32));
        let endless = format!("sha256:{}", "a".repeat(10_000_000));
        let path = format!("sha256:../../{}", "a".repeat(58));
        for text in [
            "", ":", "sha256:", "sha256", &upper, &short, &crossed, &md5, &endless, &path,
        ] {
            assert!(text.parse::<Digest>().is_err());
        }
    }
}
