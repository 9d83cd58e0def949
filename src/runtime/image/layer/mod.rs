//! One layer: its compressed bytes into a checked directory tree.

mod tar;
mod decode;
mod name;
mod metadata;
mod extract;
mod pack;
mod add;
mod pipe;
mod unpack;

pub use add::{is_archive, unpack_archive};
pub(super) use decode::{Compression, Decoder};
pub(super) use extract::Below;
pub(super) use metadata::{Losses, Privilege};
pub(super) use name::place_in_root;
pub(super) use pack::{Packed, Packing, RootLike, Tree, pack};
pub use pack::{Times, pack_files, pack_path};
pub(super) use tar::{Archive, Entry, Kind, TarError, TarWriter};
pub(super) use unpack::{Expected, Outcome, SourceReader, Target, unpack};

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
