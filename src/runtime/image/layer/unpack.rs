//! A layer's compressed bytes through three threads: keep and hash, inflate and hash, parse and write.
//!
//! ```text
//! source ─► [blob file, digest] ─► [decoder, diff id] ─► [tar, directory tree]
//! ```
//!
//! Nothing of the result counts before both digests were right; until then the tree is in a directory
//! that is thrown away. When the bytes are wrong, that is what is reported, rather than the nonsense
//! that the later stages made of them.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use super::decode::{Compression, Decoder};
use super::extract::{Below, EntryError, Extractor, Problem, Unpacked};
use super::metadata::Privilege;
use super::pipe::{PipeReader, PipeWriter, pipe};
use super::tar::Archive;
use crate::runtime::image::ImageError;
use crate::runtime::kernel::rooted::Root;
use crate::value::{Algorithm, Digest, Hasher};

const READ_BYTES: usize = 64 << 10;
/// What may follow the end of an archive; writers pad it to whole records.
const TRAILER_LIMIT_BYTES: u64 = 64 << 20;

/// What is known of a layer before its bytes are.
#[derive(Debug, Clone)]
pub(in crate::runtime::image) struct Expected {
    /// Digest and size of the compressed bytes; an archive without digests does not say.
    pub(in crate::runtime::image) blob: Option<(Digest, u64)>,
    /// Digest of the plain bytes.
    pub(in crate::runtime::image) diff_id: Digest,
}

/// How a layer is to be unpacked.
#[derive(Debug)]
pub(in crate::runtime::image) struct Target {
    /// An empty directory.
    pub(in crate::runtime::image) tree: Root,
    /// Where the compressed bytes are kept; `None` if they are kept already.
    pub(in crate::runtime::image) blob_file: Option<File>,
    pub(in crate::runtime::image) privilege: Privilege,
    pub(in crate::runtime::image) below: Below,
    /// How many of the first bytes are in `blob_file` already.
    pub(in crate::runtime::image) kept_bytes: u64,
    /// Where all this is, for people.
    pub(in crate::runtime::image) place: PathBuf,
}

/// What a layer turned out to be; all of it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime::image) struct Outcome {
    pub(in crate::runtime::image) blob_digest: Digest,
    pub(in crate::runtime::image) blob_bytes: u64,
    pub(in crate::runtime::image) compression: Compression,
    pub(in crate::runtime::image) unpacked: Unpacked,
}

/// Where the compressed bytes come from: what an earlier try left, then the rest.
pub(in crate::runtime::image) type SourceReader = Box<dyn Read + Send>;

/// Unpacks a layer and checks it.
pub(in crate::runtime::image) fn unpack(
    mut source: SourceReader,
    target: Target,
    expected: &Expected,
) -> Result<Outcome, ImageError> {
    let name = expected
        .blob
        .as_ref()
        .map_or(&expected.diff_id, |(digest, _)| digest);
    let (blob_writer, blob_reader) = pipe();
    let (plain_writer, plain_reader) = pipe();
    let extractor = Extractor::new(target.tree, target.privilege, target.below);
    let algorithm = expected.diff_id.algorithm();
    let (kept, inflated, extracted) = thread::scope(|scope| {
        let inflate = thread::Builder::new()
            .spawn_scoped(scope, move || inflate(blob_reader, plain_writer, algorithm));
        let extract =
            thread::Builder::new().spawn_scoped(scope, move || extract(plain_reader, extractor));
        let keeper = Keeper {
            file: target.blob_file,
            kept_bytes: target.kept_bytes,
            place: &target.place,
        };
        let kept = keep(&mut source, keeper, blob_writer, expected);
        (kept, join(inflate), join(extract))
    });
    let (blob_digest, blob_bytes) = kept?;
    let extracted = extracted.unwrap_or_else(|source| Err(no_entry(source)));
    let inflated = inflated.and_then(|result| result);
    let (unpacked, (diff_id, compression)) = match (extracted, inflated) {
        (Ok(unpacked), Ok(inflated)) => (unpacked, inflated),
        // Whoever failed first made the other fail: a broken pipe is only the echo.
        (_, Err(source)) if source.kind() != io::ErrorKind::BrokenPipe => {
            return Err(explain(no_entry(source), name, &target.place));
        }
        (Err(error), _) => return Err(explain(error, name, &target.place)),
        (Ok(_), Err(source)) => return Err(explain(no_entry(source), name, &target.place)),
    };
    check(&expected.diff_id, &diff_id)?;
    Ok(Outcome {
        blob_digest,
        blob_bytes,
        compression,
        unpacked,
    })
}

fn check(expected: &Digest, got: &Digest) -> Result<(), ImageError> {
    if expected == got {
        return Ok(());
    }
    Err(ImageError::WrongDigest {
        expected: expected.clone(),
        got: got.clone(),
    })
}

fn join<T>(thread: io::Result<ScopedJoinHandle<'_, T>>) -> io::Result<T> {
    thread?
        .join()
        .map_err(|_| io::Error::other("a thread of the unpacking stopped"))
}

fn no_entry(source: io::Error) -> EntryError {
    EntryError {
        number: 0,
        name: Vec::new(),
        problem: Problem::Io(source),
    }
}

fn explain(error: EntryError, digest: &Digest, place: &Path) -> ImageError {
    let shown: Vec<u8> = error.name.iter().copied().take(120).collect();
    let name = match error.number {
        0 => "its beginning".to_owned(),
        _ => shown.escape_ascii().to_string(),
    };
    match error.problem {
        Problem::Refused(reason) => ImageError::RefuseLayer {
            digest: digest.clone(),
            entry: error.number,
            name,
            reason,
        },
        Problem::Io(source) => ImageError::unpack(digest, name, place, source),
    }
}

/// The blob's file, of which the beginning may be written already.
struct Keeper<'a> {
    file: Option<File>,
    kept_bytes: u64,
    place: &'a Path,
}

impl Keeper<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let skipped = self.kept_bytes.min(bytes.len() as u64);
        self.kept_bytes -= skipped;
        let fresh = bytes.get(usize::try_from(skipped).unwrap_or(bytes.len())..);
        let (Some(file), Some(fresh)) = (&mut self.file, fresh) else {
            return Ok(());
        };
        let written = file.write_all(fresh);
        written.map_err(|error| ImageError::write(self.place, error))
    }
}

/// First stage: keeps the bytes, hashes them, and passes them on as long as somebody wants them.
fn keep(
    source: &mut SourceReader,
    mut keeper: Keeper<'_>,
    next: PipeWriter,
    expected: &Expected,
) -> Result<(Digest, u64), ImageError> {
    let algorithm = expected.blob.as_ref().map(|(digest, _)| digest.algorithm());
    let mut hasher = Hasher::new(algorithm.unwrap_or(Algorithm::Sha256));
    let mut next = Some(next);
    let mut buffer = vec![0; READ_BYTES];
    let mut count_bytes = 0_u64;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImageError::read("the layer's source", error)),
        };
        let bytes = &buffer[..count];
        hasher.update(bytes);
        count_bytes += count as u64;
        keeper.write(bytes)?;
        // The later stages have failed; the digest is still wanted, to tell whose fault that is.
        if next
            .as_mut()
            .is_some_and(|next| next.write_all(bytes).is_err())
        {
            next = None;
        }
        if let Some((digest, size_bytes)) = &expected.blob
            && count_bytes > *size_bytes
        {
            return Err(ImageError::WrongSize {
                digest: digest.clone(),
                expected_bytes: *size_bytes,
                got_bytes: count_bytes,
            });
        }
    }
    if let Some(mut next) = next {
        // Refused only by stages that failed and report it themselves.
        drop(next.flush());
    }
    let digest = hasher.finish();
    if let Some((expected, size_bytes)) = &expected.blob {
        if count_bytes < *size_bytes {
            return Err(ImageError::WrongSize {
                digest: expected.clone(),
                expected_bytes: *size_bytes,
                got_bytes: count_bytes,
            });
        }
        check(expected, &digest)?;
    }
    Ok((digest, count_bytes))
}

/// Second stage: plain bytes and their digest.
fn inflate(
    source: PipeReader,
    mut next: PipeWriter,
    algorithm: Algorithm,
) -> io::Result<(Digest, Compression)> {
    let mut decoder = Decoder::new(source)?;
    let mut hasher = Hasher::new(algorithm);
    while next.fill_from(&mut decoder, &mut |bytes| hasher.update(bytes))? > 0 {}
    Ok((hasher.finish(), decoder.compression()))
}

/// Third stage: the tree; what follows the archive is read to its end, for the digest.
fn extract(source: PipeReader, extractor: Extractor) -> Result<Unpacked, EntryError> {
    let mut archive = Archive::new(source);
    let unpacked = extractor.run(&mut archive)?;
    let mut rest = archive.into_inner().take(TRAILER_LIMIT_BYTES + 1);
    let trailer = io::copy(&mut rest, &mut io::sink()).map_err(no_entry)?;
    if trailer > TRAILER_LIMIT_BYTES {
        return Err(EntryError {
            number: unpacked.entries,
            name: Vec::new(),
            problem: Problem::Refused("more than 64 MiB follow the end of the archive"),
        });
    }
    Ok(unpacked)
}
