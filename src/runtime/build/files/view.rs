//! What of a tree can be seen: all of it, or what an ignore file leaves.

use std::path::Path;

use crate::value::{IgnoreMatched, IgnorePatterns};

/// What can be seen of a tree.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime::build) struct View {
    patterns: IgnorePatterns,
}

impl View {
    /// Everything.
    pub(in crate::runtime::build) fn everything() -> Self {
        Self::default()
    }

    /// What patterns leave.
    pub(in crate::runtime::build) fn without(patterns: IgnorePatterns) -> Self {
        Self { patterns }
    }

    /// Says whether a path, or a folder above it, is left out.
    pub(super) fn hides(&self, path: &Path) -> bool {
        !self.patterns.is_empty() && self.patterns.excludes(&path.to_string_lossy())
    }

    /// Says whether a path is there: a folder is also when something below it may be taken back in.
    pub(super) fn shows(&self, path: &Path) -> bool {
        !self.hides(path) || self.patterns.may_take_back_below(&path.to_string_lossy())
    }

    pub(super) fn patterns(&self) -> &IgnorePatterns {
        &self.patterns
    }
}

/// Patterns at work while a folder and all below it are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sieve<'a> {
    pub(super) patterns: &'a IgnorePatterns,
    pub(super) keeps: Keeps,
}

/// What falls through a sieve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// What no pattern matches.
    Others,
    /// What a pattern matches.
    Matches,
}

impl Sieve<'_> {
    /// Matches an entry, given what its folder had.
    pub(super) fn entry(&self, folder: &IgnoreMatched, path: &str) -> IgnoreMatched {
        if self.patterns.is_empty() {
            return IgnoreMatched::default();
        }
        self.patterns.matched(folder, path)
    }

    pub(super) fn passes(&self, matched: &IgnoreMatched) -> bool {
        match self.keeps {
            Keeps::Others => !matched.is_excluded(),
            Keeps::Matches => matched.is_excluded(),
        }
    }

    /// Says whether something below a folder may pass.
    pub(super) fn may_pass_below(&self, matched: &IgnoreMatched, folder: &str) -> bool {
        match self.keeps {
            Keeps::Others => !matched.is_excluded() || self.patterns.may_take_back_below(folder),
            Keeps::Matches => true,
        }
    }
}
