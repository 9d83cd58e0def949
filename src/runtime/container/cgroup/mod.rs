//! The cgroups of a container: where they are, what they limit, who is in them.
//!
//! ```text
//! v2        <mount>/consort/<project>/<id>
//! v1        <mount of each needed controller>/consort/<project>/<id>
//! hybrid    both: limits in v1, killing, freezing and counting in v2
//! ```
//!
//! As an ordinary user the same lies below the cgroup that was delegated to that user; without one,
//! there is none, and every limit that was asked for comes back as [`Unenforced`].
//!
//! **Invariant:** nothing outside of a directory named after us is ever written to, but
//! `cgroup.subtree_control` on the way there.

mod devices;
mod file;
mod hierarchy;
mod limits;
mod members;
mod place;
mod stats;

pub use hierarchy::{Hierarchies, Mode};
pub use place::{Cgroup, Placement, Sought, leftovers};
pub use stats::Stats;

use serde::{Deserialize, Serialize};

/// The directory, below the root or the delegated cgroup, that holds all of ours.
pub const MARK: &str = "consort";

/// Something that was asked for and could not be had here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unenforced {
    /// What was asked for, in the user's words: `memory limit`.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl Unenforced {
    /// Names what was asked for and why it could not be had.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
        }
    }
}
