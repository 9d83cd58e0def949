//! Archives that a user adds to an image: told by their content, and unpacked over what is there.
//!
//! Beside the compressions of layers these may have bzip2 and xz, as Docker takes them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use super::decode::Decoder;
use super::extract::{Below, Extractor, Problem};
use super::metadata::Privilege;
use super::tar::Archive;
use crate::runtime::kernel::rooted::Root;

/// How much is read at once.
const READ_BYTES: usize = 128 << 10;
const BZIP2_MAGIC: &[u8] = b"BZh";
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// Says whether a file is an archive with at least one entry; it is read from its beginning.
pub fn is_archive(file: &File) -> io::Result<bool> {
    let Ok(plain) = plain(file)? else {
        return Ok(false);
    };
    Ok(matches!(Archive::new(plain).next_entry(), Ok(Some(_))))
}

/// Unpacks an archive into a directory and what it holds already; all of it gets one owner where one is given.
///
/// Names that lead out of the directory are refused, links are followed inside it only.
pub fn unpack_archive(file: &File, root: Root, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut archive = Archive::new(plain(file)??);
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

/// Opens the plain bytes of a file: the outer result is of the file, the inner one of its compression.
fn plain(mut file: &File) -> io::Result<io::Result<Box<dyn BufRead + '_>>> {
    let mut start = Vec::new();
    file.rewind()?;
    let _count = file.take(XZ_MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    let buffered = BufReader::with_capacity(READ_BYTES, file);
    if start.starts_with(BZIP2_MAGIC) {
        let decoder = MultiBzDecoder::new(buffered);
        return Ok(Ok(Box::new(BufReader::with_capacity(READ_BYTES, decoder))));
    }
    if start.starts_with(XZ_MAGIC) {
        let decoder = XzReader::new(buffered, true);
        return Ok(Ok(Box::new(BufReader::with_capacity(READ_BYTES, decoder))));
    }
    let decoder = Decoder::new(file);
    Ok(decoder.map(|decoder| {
        Box::new(BufReader::with_capacity(READ_BYTES, decoder)) as Box<dyn BufRead + '_>
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::testing::Tar;
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn archives_are_told_by_their_content_in_each_compression() {
        let tar = Tar::new().dir("d/").file("d/f", b"content").end();
        let gzip = {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap()
        };
        let bzip2 = {
            let level = bzip2::Compression::fast();
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), level);
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = zstd::encode_all(&tar[..], 1).unwrap();
        for bytes in [&tar, &gzip, &bzip2, &zstd] {
            let file = file(bytes);
            assert!(is_archive(&file).unwrap());
            let dir = tempfile::tempdir().unwrap();
            unpack_archive(&file, Root::open(dir.path()).unwrap(), None).unwrap();
            let content = std::fs::read(dir.path().join("d/f")).unwrap();
            assert_eq!(content, b"content");
        }
        for bytes in [&b""[..], b"text", &[0; 1024], b"BZh9", XZ_MAGIC] {
            assert!(!is_archive(&file(bytes)).unwrap(), "{bytes:?}");
        }
    }

    #[test]
    fn an_archive_stays_in_its_directory_and_takes_away_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("old")).unwrap();
        std::fs::write(dir.path().join("old/file"), b"x").unwrap();
        let tar = Tar::new().file(".wh.old", b"").file("new", b"y").end();
        unpack_archive(&file(&tar), Root::open(dir.path()).unwrap(), None).unwrap();
        assert!(!dir.path().join("old").exists() && dir.path().join("new").exists());
        let tar = Tar::new().file("../out", b"z").end();
        let out = unpack_archive(&file(&tar), Root::open(dir.path()).unwrap(), None);
        assert!(out.is_err());
    }
}
