//! Archives that a user adds to an image: told by their content, and unpacked over what is there.

use std::fs::File;
use std::io::{self, BufReader, Seek as _};

use super::decode::Decoder;
use super::extract::{Below, Extractor, Problem};
use super::metadata::Privilege;
use super::tar::Archive;
use crate::runtime::kernel::rooted::Root;

/// How much is read at once.
const READ_BYTES: usize = 128 << 10;

/// Says whether a file is an archive with at least one entry; it is read from its beginning.
pub fn is_archive(mut file: &File) -> io::Result<bool> {
    file.rewind()?;
    let Ok(decoder) = Decoder::new(file) else {
        return Ok(false);
    };
    let mut archive = Archive::new(BufReader::with_capacity(READ_BYTES, decoder));
    Ok(matches!(archive.next_entry(), Ok(Some(_))))
}

/// Unpacks an archive into a directory and what it holds already; all of it gets one owner where one is given.
///
/// Names that lead out of the directory are refused, links are followed inside it only.
pub fn unpack_archive(mut file: &File, root: Root, owner: Option<(u32, u32)>) -> io::Result<()> {
    file.rewind()?;
    let decoder = Decoder::new(file)?;
    let mut archive = Archive::new(BufReader::with_capacity(READ_BYTES, decoder));
    let extractor = Extractor::new(root, Privilege::own(), Below::Files).owned_by(owner);
    match extractor.run(&mut archive) {
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::other(format!(
            "entry {} `{}`: {}",
            error.number,
            error.name.escape_ascii(),
            match error.problem {
                Problem::Refused(reason) => reason.to_owned(),
                Problem::Io(error) => error.to_string(),
            }
        ))),
    }
}
