//! Cache keys: a digest over everything that decides what a step makes.
//!
//! **Invariant:** each part is preceded by its length, so that no two lists of parts give the same bytes.

use crate::value::{Algorithm, Digest, Hasher};

/// Changes whenever the same instruction would make something else than before.
const VERSION: &str = "consort-build-1";

/// A key being made.
pub(super) struct KeyHasher {
    hasher: Hasher,
}

impl KeyHasher {
    /// Begins a key of a kind.
    pub(super) fn new(kind: &str) -> Self {
        let mut key = Self {
            hasher: Hasher::new(Algorithm::Sha256),
        };
        key.text(VERSION, kind);
        key
    }

    /// Adds a named text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.bytes(name.as_bytes());
        self.bytes(value.as_bytes());
    }

    /// Adds a list of texts.
    pub(super) fn list(&mut self, name: &str, values: &[String]) {
        self.bytes(name.as_bytes());
        self.number(values.len() as u64);
        for value in values {
            self.bytes(value.as_bytes());
        }
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: u64) {
        self.hasher.update(&number.to_le_bytes());
    }

    /// Adds bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hasher.update(bytes);
    }

    /// Ends the key.
    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = |parts: &[&str]| {
            let mut hasher = KeyHasher::new("run");
            for part in parts {
                hasher.bytes(part.as_bytes());
            }
            hasher.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]), key(&["a"]));
    }
}
