//! Files that a build reads: trees and what is selected of them, and how they come into a new layer.
//!
//! ```text
//! Tree (context, stage, image) ─ pattern ─► Selection ─┬─► digest for the cache key
//!                                                      └─► place: into the mounted draft
//! ```

mod pattern;
mod view;
mod tree;
mod resolve;
mod walk;
mod select;
mod owner;
mod mode;
mod place;
mod digest;

pub(super) use digest::of_selection;
pub(super) use mode::ModeChange;
pub(super) use owner::{Owner, chown, lookup_user};
pub(super) use place::{Folders, Placement, make_dirs, place};
pub(super) use resolve::resolve;
pub(super) use select::{Selection, select, select_parents};
pub(super) use tree::{Tree, TreeOwner, empty_root};
pub(super) use view::View;
