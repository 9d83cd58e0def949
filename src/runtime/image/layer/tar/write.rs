//! Entries into a tar stream: POSIX headers, with PAX records only where a plain header has no room.
//!
//! **Invariant:** the same entries give the same bytes, for every user and on every machine.

use std::io::{self, Read, Write};

use super::header::BLOCK_BYTES;
use super::{Entry, Kind};

const NAME_BYTES: usize = 100;
const ID_LIMIT: u32 = 0o777_7777;
const SIZE_LIMIT_BYTES: u64 = 0o777_7777_7777;
const COPY_BYTES: usize = 128 << 10;

/// A tar stream being written.
#[derive(Debug)]
pub(in crate::runtime::image) struct TarWriter<W> {
    sink: W,
}

impl<W: Write> TarWriter<W> {
    pub(in crate::runtime::image) fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Writes an entry without content.
    pub(in crate::runtime::image) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.file(entry, &mut io::empty())
    }

    /// Writes an entry and its content, of which exactly `size_bytes` are taken.
    ///
    /// A source that has become shorter meanwhile is an error: its header was written already.
    pub(in crate::runtime::image) fn file(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let header = block(&Entry {
                name: b"././@PaxHeader".to_vec(),
                kind: Kind::File,
                size_bytes: records.len() as u64,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                link: Vec::new(),
                device: (0, 0),
                xattrs: Vec::new(),
            });
            self.sink.write_all(&as_extension(header))?;
            self.sink.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.sink.write_all(&block(entry))?;
        self.content(entry.size_bytes, content)
    }

    fn content(&mut self, size_bytes: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(size_bytes).unwrap_or(COPY_BYTES))];
        let mut rest_bytes = size_bytes;
        while rest_bytes > 0 {
            let limit = usize::try_from(rest_bytes).unwrap_or(usize::MAX);
            let wanted = buffer.len().min(limit);
            let count = match content.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.sink.write_all(&buffer[..count])?;
            rest_bytes -= count as u64;
        }
        self.pad(size_bytes)
    }

    fn pad(&mut self, size_bytes: u64) -> io::Result<()> {
        let padding = size_bytes.next_multiple_of(BLOCK_BYTES as u64) - size_bytes;
        let zeros = [0; BLOCK_BYTES];
        let count = usize::try_from(padding).unwrap_or(0);
        self.sink.write_all(&zeros[..count])
    }

    /// Writes the end of the archive and gives the stream back.
    pub(in crate::runtime::image) fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.sink)
    }
}

fn typeflag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    }
}

/// Returns the PAX records of what a plain header cannot say.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    if entry.name.len() > NAME_BYTES {
        record(&mut records, b"path", &entry.name);
    }
    if entry.link.len() > NAME_BYTES {
        record(&mut records, b"linkpath", &entry.link);
    }
    if entry.size_bytes > SIZE_LIMIT_BYTES {
        record(
            &mut records,
            b"size",
            entry.size_bytes.to_string().as_bytes(),
        );
    }
    for (key, id) in [(&b"uid"[..], entry.uid), (b"gid", entry.gid)] {
        if id > ID_LIMIT {
            record(&mut records, key, id.to_string().as_bytes());
        }
    }
    let (seconds, _) = entry.mtime;
    if !is_plain_time(seconds) {
        record(&mut records, b"mtime", seconds.to_string().as_bytes());
    }
    for (name, value) in &entry.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    records
}

fn is_plain_time(seconds: i64) -> bool {
    u64::try_from(seconds).is_ok_and(|seconds| seconds <= SIZE_LIMIT_BYTES)
}

/// Adds `length key=value\n`, whose length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend(length.to_string().as_bytes());
    records.push(b' ');
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

fn block(entry: &Entry) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let within = |id: u32| if id > ID_LIMIT { 0 } else { id };
    put(0, &entry.name[..entry.name.len().min(NAME_BYTES)]);
    put(100, format!("{:07o}", entry.mode & 0o7777).as_bytes());
    put(108, format!("{:07o}", within(entry.uid)).as_bytes());
    put(116, format!("{:07o}", within(entry.gid)).as_bytes());
    let size_bytes = Some(entry.size_bytes).filter(|size| *size <= SIZE_LIMIT_BYTES);
    put(124, format!("{:011o}", size_bytes.unwrap_or(0)).as_bytes());
    let seconds = Some(entry.mtime.0).filter(|seconds| is_plain_time(*seconds));
    put(136, format!("{:011o}", seconds.unwrap_or(0)).as_bytes());
    put(148, b"        ");
    put(156, &[typeflag(entry.kind)]);
    put(157, &entry.link[..entry.link.len().min(NAME_BYTES)]);
    put(257, b"ustar\x0000");
    put(
        329,
        format!("{:07o}", entry.device.0 & 0o777_7777).as_bytes(),
    );
    put(
        337,
        format!("{:07o}", entry.device.1 & 0o777_7777).as_bytes(),
    );
    with_sum(block)
}

fn as_extension(mut block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
    block[156] = b'x';
    block[148..156].copy_from_slice(b"        ");
    with_sum(block)
}

fn with_sum(mut block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::super::Archive;
    use super::*;

    fn entry(name: &[u8], kind: Kind) -> Entry {
        Entry {
            name: name.to_vec(),
            kind,
            size_bytes: 0,
            mode: 0o4755,
            uid: 1000,
            gid: 4_000_000_000,
            mtime: (1_700_000_000, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let long = vec![b'n'; 300];
        let mut file = entry(&long, Kind::File);
        file.size_bytes = 700;
        file.xattrs = vec![(b"security.capability".to_vec(), b"\x01=\n\0x".to_vec())];
        let mut link = entry(b"link", Kind::Symlink);
        link.link = vec![b'l'; 200];
        link.mtime = (-5, 0);
        let mut device = entry(b"dev/null", Kind::CharDevice);
        device.device = (1, 3);
        let dir = entry(b"dir/", Kind::Dir);
        let mut writer = TarWriter::new(Vec::new());
        writer.file(&file, &mut [7_u8; 700].as_slice()).unwrap();
        for other in [&link, &device, &dir] {
            writer.entry(other).unwrap();
        }
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        let mut archive = Archive::new(BufReader::new(&bytes[..]));
        for expected in [file, link, device, dir] {
            assert_eq!(archive.next_entry().unwrap().unwrap(), expected);
        }
        assert!(archive.next_entry().unwrap().is_none());
    }

    #[test]
    fn a_file_that_has_become_shorter_is_an_error() {
        let mut file = entry(b"file", Kind::File);
        file.size_bytes = 10;
        let mut writer = TarWriter::new(Vec::new());
        assert!(writer.file(&file, &mut [0_u8; 9].as_slice()).is_err());
    }
}
