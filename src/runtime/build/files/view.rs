//! What of a tree can be seen: all of it, or what an ignore file leaves.

use std::path::Path;

use crate::runtime::build::BuildError;

/// What can be seen of a tree.
#[derive(Debug, Clone)]
pub(in crate::runtime::build) struct View {
    patterns: Option<crate::value::IgnorePatterns>,
}

impl View {
    /// Everything.
    pub(in crate::runtime::build) fn everything() -> Self {
        Self { patterns: None }
    }

    /// What patterns leave.
    pub(in crate::runtime::build) fn without(
        patterns: crate::value::IgnorePatterns,
    ) -> Self {
        Self {
            patterns: Some(patterns),
        }
    }
}
