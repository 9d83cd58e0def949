//! A tar stream into entries, strictly: what two readers could understand differently is refused.
//!
//! Layers come from strangers, and tar has several answers to "how long is this entry" and "what is it
//! called". Where a header allows two of them, another reader may see other entries than this one
//! (files smuggled past a scanner), so that there is no right answer but to refuse.

mod header;
mod pax;
mod write;

use std::io::{self, BufRead, Read};
use std::os::fd::AsFd;

use header::{BLOCK_BYTES, Header};
use pax::Pax;
pub(in crate::runtime::image) use write::TarWriter;

/// The most bytes of one extended header.
const EXTENSION_LIMIT_BYTES: u64 = 1 << 20;

/// Why a stream is not read any further.
#[derive(Debug)]
pub(in crate::runtime::image) enum TarError {
    /// The bytes below could not be had.
    Io(io::Error),
    /// The bytes are not a tar stream, or not an unambiguous one.
    Refused(&'static str),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Refused("the archive is cut off");
        }
        Self::Io(error)
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Dir,
    Fifo,
}

/// One entry; its content is read from the archive before the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime::image) struct Entry {
    pub(in crate::runtime::image) name: Vec<u8>,
    pub(in crate::runtime::image) kind: Kind,
    pub(in crate::runtime::image) size_bytes: u64,
    pub(in crate::runtime::image) mode: u32,
    pub(in crate::runtime::image) uid: u32,
    pub(in crate::runtime::image) gid: u32,
    /// Seconds since 1970, and nanoseconds after those.
    pub(in crate::runtime::image) mtime: (i64, u32),
    /// Where a link points to; empty for everything else.
    pub(in crate::runtime::image) link: Vec<u8>,
    /// Major and minor number of a device.
    pub(in crate::runtime::image) device: (u32, u32),
    pub(in crate::runtime::image) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A tar stream being read.
#[derive(Debug)]
pub(in crate::runtime::image) struct Archive<R> {
    reader: R,
    /// Content of the current entry that was not read yet.
    rest_bytes: u64,
    /// Padding after it.
    padding_bytes: u64,
    is_over: bool,
}

/// Extended headers that wait for the entry they describe.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<R: BufRead> Archive<R> {
    pub(in crate::runtime::image) fn new(reader: R) -> Self {
        Self {
            reader,
            rest_bytes: 0,
            padding_bytes: 0,
            is_over: false,
        }
    }

    /// Gives the stream back, after its end marker or wherever it is.
    pub(in crate::runtime::image) fn into_inner(self) -> R {
        self.reader
    }

    /// Returns the stream below, for a caller that seeks in it.
    pub(in crate::runtime::image) fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Returns how far the next header is, and leaves it to the caller to go there.
    pub(in crate::runtime::image) fn take_rest(&mut self) -> u64 {
        let rest_bytes = self.rest_bytes + self.padding_bytes;
        (self.rest_bytes, self.padding_bytes) = (0, 0);
        rest_bytes
    }

    /// Returns the next entry; `None` at the end of the archive.
    pub(in crate::runtime::image) fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.next_header()? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(TarError::Refused("an extended header has no entry"));
            };
            match header.typeflag() {
                b'x' => {
                    let bytes = self.extension(&header)?;
                    set_once(
                        &mut extensions.pax,
                        Pax::parse(&bytes).map_err(TarError::Refused)?,
                    )?;
                }
                b'g' => {
                    let bytes = self.extension(&header)?;
                    let global = Pax::parse(&bytes).map_err(TarError::Refused)?;
                    global.check_global().map_err(TarError::Refused)?;
                }
                b'L' => set_once(&mut extensions.long_name, self.long_text(&header)?)?,
                b'K' => set_once(&mut extensions.long_link, self.long_text(&header)?)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Writes the content of the current entry to a file; returns how much that was.
    pub(in crate::runtime::image) fn copy_content(
        &mut self,
        file: impl AsFd,
    ) -> Result<u64, TarError> {
        let size_bytes = self.rest_bytes;
        while self.rest_bytes > 0 {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Err(TarError::Refused("the archive is cut off"));
            }
            let limit = usize::try_from(self.rest_bytes).unwrap_or(usize::MAX);
            let portion = &available[..available.len().min(limit)];
            let written = rustix::io::write(&file, portion).map_err(io::Error::from)?;
            self.reader.consume(written);
            self.rest_bytes -= written as u64;
        }
        Ok(size_bytes)
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, TarError> {
        let entry = build(header, extensions).map_err(TarError::Refused)?;
        self.begin(entry.size_bytes);
        Ok(entry)
    }

    fn begin(&mut self, size_bytes: u64) {
        self.rest_bytes = size_bytes;
        self.padding_bytes = size_bytes.next_multiple_of(BLOCK_BYTES as u64) - size_bytes;
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size_bytes = header.size_bytes().map_err(TarError::Refused)?;
        if size_bytes > EXTENSION_LIMIT_BYTES {
            return Err(TarError::Refused("an extended header has more than 1 MiB"));
        }
        self.begin(size_bytes);
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes)?;
        if count as u64 == size_bytes {
            return Ok(bytes);
        }
        Err(TarError::Refused("the archive is cut off"))
    }

    fn long_text(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.extension(header)?;
        let end = bytes.iter().rposition(|&byte| byte != 0);
        bytes.truncate(end.map_or(0, |end| end + 1));
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(TarError::Refused("a long name is empty or contains NUL"));
        }
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let skip_bytes = self.rest_bytes + self.padding_bytes;
        let skipped = io::copy(&mut (&mut self.reader).take(skip_bytes), &mut io::sink())?;
        if skipped < skip_bytes {
            return Err(TarError::Refused("the archive is cut off"));
        }
        (self.rest_bytes, self.padding_bytes) = (0, 0);
        Ok(())
    }

    /// Returns the next header; `None` after two empty blocks, or where the stream ends between entries.
    fn next_header(&mut self) -> Result<Option<Header>, TarError> {
        if self.is_over {
            return Ok(None);
        }
        let Some(block) = self.block()? else {
            self.is_over = true;
            return Ok(None);
        };
        if !is_empty(&block) {
            return Header::parse(&block).map(Some).map_err(TarError::Refused);
        }
        self.is_over = true;
        match self.block()? {
            Some(second) if !is_empty(&second) => {
                Err(TarError::Refused("an empty block stands between entries"))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Refused("the archive is cut off")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }
}

/// Reads the content of the current entry.
impl<R: BufRead> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.rest_bytes).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(limit);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.rest_bytes -= count as u64;
        Ok(count)
    }
}

fn is_empty(block: &[u8; BLOCK_BYTES]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), TarError> {
    if slot.replace(value).is_some() {
        return Err(TarError::Refused(
            "an entry has two extended headers of one kind",
        ));
    }
    Ok(())
}

fn build(header: &Header, extensions: Extensions) -> Result<Entry, &'static str> {
    let pax = extensions.pax.unwrap_or_default();
    let kind = header.kind()?;
    let name = choose(pax.path, extensions.long_name)?.unwrap_or_else(|| header.name());
    let link = choose(pax.link, extensions.long_link)?.unwrap_or_else(|| header.link());
    let is_link = matches!(kind, Kind::HardLink | Kind::Symlink);
    if name.is_empty() || (is_link && link.is_empty()) {
        return Err("its name or link is empty");
    }
    let size_bytes = entry_size(kind, header.size_bytes()?, pax.size_bytes)?;
    Ok(Entry {
        kind: as_dir(kind, &name, header)?,
        name,
        size_bytes,
        mode: header.mode()?,
        uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
        gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
        mtime: pax.mtime.map_or_else(|| header.mtime(), Ok)?,
        link: if is_link { link } else { Vec::new() },
        device: header.device(kind)?,
        xattrs: pax.xattrs,
    })
}

/// Takes the one long form that is there; two are one too many.
fn choose(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, &'static str> {
    if pax.is_some() && gnu.is_some() {
        return Err("its name is given twice, by PAX and by GNU headers");
    }
    Ok(pax.or(gnu))
}

/// Readers disagree whether a link or directory may have content, and which of two sizes counts.
fn entry_size(kind: Kind, header: u64, pax: Option<u64>) -> Result<u64, &'static str> {
    let size_bytes = pax.unwrap_or(header);
    if size_bytes != header && size_bytes <= header::OCTAL_SIZE_LIMIT_BYTES {
        return Err("its two sizes, in the header and in the PAX record, differ");
    }
    if kind != Kind::File && size_bytes != 0 {
        return Err("it is not a file and has content");
    }
    Ok(size_bytes)
}

/// Archives from before POSIX mark a directory by a slash at the end of a file's name.
fn as_dir(kind: Kind, name: &[u8], header: &Header) -> Result<Kind, &'static str> {
    if kind != Kind::File || name.last() != Some(&b'/') {
        return Ok(kind);
    }
    if header.typeflag() == 0 && header.size_bytes()? == 0 {
        return Ok(Kind::Dir);
    }
    Err("it is a file whose name ends in a slash")
}

#[cfg(test)]
mod tests;
