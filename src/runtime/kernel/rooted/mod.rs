//! Paths inside an untrusted root: an image, a volume, a container. The only module that resolves them.
//!
//! Every path is looked up by the kernel with `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` from
//! a descriptor of the root: `..` and absolute links stop at that root, `/proc/PID/fd` links lead
//! nowhere, and what is found is used by its descriptor, so that nobody can swap it in between.
//!
//! **Invariant:** no string path below a root reaches any other system call than `openat2`; names that
//! are created, removed or renamed are single components below a descriptor.

mod copy;
mod read;
mod root;
mod target;
mod walk;

pub use copy::{copy_attributes, copy_content, times, tolerate};
pub use root::{EntryKind, Root};
pub use target::{Target, TargetKind};
pub use walk::{Entry, Mounts, Walk};
