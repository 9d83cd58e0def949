//! Several trees into one: what an override file, an extending service or an including project
//! changes, key by key.

mod merge;
mod reset;
mod unique;

pub(crate) use merge::{dependency, extend_service, into_names, merge, merge_resource, nothing};
pub(crate) use reset::{apply_resets, apply_resets_below};
pub(crate) use unique::enforce_unique;
