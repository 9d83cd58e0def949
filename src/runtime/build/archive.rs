//! An archive that is a context, into a folder.

use std::fs::File;
use std::path::Path;

use super::BuildError;
use crate::runtime::image::{is_archive, unpack_archive};
use crate::runtime::kernel::rooted::Root;

/// Says whether a file is an archive, by its content.
pub fn is_context_archive(file: &File) -> Result<bool, BuildError> {
    is_archive(file).map_err(BuildError::io("read the context"))
}

/// Unpacks an archive, in whatever compression, into an empty folder; names that lead out of it are refused.
pub fn unpack_context(file: &File, folder: &Path) -> Result<(), BuildError> {
    let act = "unpack the context";
    let root = Root::open(folder).map_err(BuildError::kernel(act))?;
    unpack_archive(file, root, None).map_err(BuildError::io(act))
}
