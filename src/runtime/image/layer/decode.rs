//! Compressed bytes into plain ones: gzip, zstd or neither, told by their first bytes.
//!
//! The media type is not asked: it is a stranger's word, and the first bytes are what every decoder
//! goes by in the end.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// How much is asked of the stream below at once.
const READ_BYTES: usize = 128 << 10;
/// The largest zstd window, as a power of two: 128 MiB. A frame that wants more is refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::image) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// A stream of plain bytes.
pub(in crate::runtime::image) enum Decoder<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<ZstdDecoder<'static, BufReader<R>>>),
}

impl<R: Read> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({:?})", self.compression())
    }
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `reader` and chooses.
    pub(in crate::runtime::image) fn new(reader: R) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(READ_BYTES, reader);
        Ok(match sniff(peek(&mut reader)?) {
            Compression::Plain => Self::Plain(reader),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Compression::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    pub(in crate::runtime::image) fn is_plain(&self) -> bool {
        self.compression() == Compression::Plain
    }

    pub(in crate::runtime::image) fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::Plain,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}

/// Returns the first bytes; streams that come in drops shorter than a magic number are plain.
fn peek<R: Read>(reader: &mut BufReader<R>) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(reader.buffer())
}

fn sniff(start: &[u8]) -> Compression {
    if start.starts_with(&GZIP_MAGIC) {
        return Compression::Gzip;
    }
    if start.starts_with(&ZSTD_MAGIC) || is_skippable_zstd_frame(start) {
        return Compression::Zstd;
    }
    Compression::Plain
}

fn is_skippable_zstd_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
