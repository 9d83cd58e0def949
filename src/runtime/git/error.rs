//! What can go wrong with a git repository.

use std::io;

use crate::runtime::store::StoreError;

/// A failed act on a git repository.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git` to run.
    #[error("run `git`: it is not installed")]
    NotInstalled,
    /// `git` could not be run to its end.
    #[error("run `git`")]
    Run {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The repository has no such branch, tag or commit.
    #[error("find `{reference}` in `{url}`: there is no such branch or tag")]
    NoReference {
        /// The repository.
        url: String,
        /// What was looked for.
        reference: String,
    },
    /// `git` said no.
    #[error("{act}: {said}")]
    Refused {
        /// What was being done.
        act: String,
        /// Its reason, on one line.
        said: String,
    },
    /// Files of ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}
