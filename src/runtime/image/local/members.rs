//! A tar file as a table of its members, each readable by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::runtime::image::layer::{Archive, Kind, SourceReader, TarError, place_in_root};

const MEMBERS_LIMIT: usize = 100_000;
/// The most links from one member to another that are followed.
const LINKS_LIMIT: usize = 8;

/// The members of one tar file, by their names in it.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    extents: BTreeMap<String, Extent>,
    links: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    size_bytes: u64,
}

/// Why a tar file cannot be listed.
#[derive(Debug)]
pub(super) enum ListError {
    Refused(&'static str),
    Io(io::Error),
}

impl From<io::Error> for ListError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TarError> for ListError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => Self::Io(error),
            TarError::Refused(reason) => Self::Refused(reason),
        }
    }
}

impl Members {
    /// Reads all headers of a tar file.
    pub(super) fn list(reader: BufReader<File>) -> Result<Self, ListError> {
        let mut archive = Archive::new(reader);
        let mut extents = BTreeMap::new();
        let mut links = BTreeMap::new();
        while let Some(entry) = archive.next_entry()? {
            let offset = archive.reader_mut().stream_position()?;
            let skip = archive.take_rest();
            let skip =
                i64::try_from(skip).map_err(|_| ListError::Refused("a member is too large"))?;
            archive.reader_mut().seek_relative(skip)?;
            let Some(name) = place_in_root(&entry.name).map_err(ListError::Refused)? else {
                continue;
            };
            let is_new = match entry.kind {
                Kind::File => {
                    let size_bytes = entry.size_bytes;
                    extents
                        .insert(name, Extent { offset, size_bytes })
                        .is_none()
                }
                Kind::Symlink | Kind::HardLink => match link_target(&name, &entry.link, entry.kind)
                {
                    Some(target) => links.insert(name, target).is_none(),
                    None => true,
                },
                Kind::Dir | Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => true,
            };
            if !is_new {
                return Err(ListError::Refused("it has two members of one name"));
            }
            if extents.len() + links.len() > MEMBERS_LIMIT {
                return Err(ListError::Refused("it has more than 100,000 members"));
            }
        }
        let reader = archive.into_inner();
        Ok(Self {
            file: Arc::new(reader.into_inner()),
            extents,
            links,
        })
    }

    /// Opens a member by its name; `None` if there is none.
    pub(super) fn open(&self, name: &str) -> Option<SourceReader> {
        let extent = self.extent(name)?;
        Some(Box::new(Section {
            file: Arc::clone(&self.file),
            at: extent.offset,
            rest_bytes: extent.size_bytes,
        }))
    }

    /// Reads a small member whole; `None` if there is none of at most `limit_bytes`.
    pub(super) fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        if self
            .extent(name)
            .is_none_or(|extent| extent.size_bytes > limit_bytes)
        {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        if let Some(mut reader) = self.open(name) {
            reader.read_to_end(&mut bytes)?;
        }
        Ok(Some(bytes))
    }

    /// Returns the size of a member.
    pub(super) fn size_bytes(&self, name: &str) -> Option<u64> {
        self.extent(name).map(|extent| extent.size_bytes)
    }

    fn extent(&self, name: &str) -> Option<Extent> {
        let mut name = name;
        for _ in 0..LINKS_LIMIT {
            if let Some(extent) = self.extents.get(name) {
                return Some(*extent);
            }
            name = self.links.get(name)?;
        }
        None
    }
}

/// Resolves a link by its text alone, which may climb within the archive: `docker save` writes such.
fn link_target(name: &str, text: &[u8], kind: Kind) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let is_relative = kind == Kind::Symlink && !text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    if is_relative {
        parts.extend(name.split('/'));
        parts.pop();
    }
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// One member, read by position: several can be read at once.
#[derive(Debug)]
struct Section {
    file: Arc<File>,
    at: u64,
    rest_bytes: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.rest_bytes).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(limit);
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        self.rest_bytes -= count as u64;
        Ok(count)
    }
}

/// Inflates into a file without a name, which the kernel removes when it is closed.
pub(super) fn inflate(source: &mut impl Read, room: &Path) -> io::Result<File> {
    const RESERVE_BYTES: u64 = 64 << 20;
    const CHECK_SPACE_EVERY_BYTES: u64 = 64 << 20;
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(room, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    while io::copy(&mut source.take(CHECK_SPACE_EVERY_BYTES), &mut file)? > 0 {
        let disk = rustix::fs::fstatvfs(&file)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVE_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
    }
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_the_archive() {
        let link = |name, text: &str| link_target(name, text.as_bytes(), Kind::Symlink);
        assert_eq!(
            link("a/layer.tar", "../b/layer.tar").as_deref(),
            Some("b/layer.tar")
        );
        assert_eq!(link("a/layer.tar", "/b").as_deref(), Some("b"));
        assert_eq!(link("a/layer.tar", "../../etc/passwd"), None);
        let hard = link_target("a/b", b"c/d", Kind::HardLink);
        assert_eq!(hard.as_deref(), Some("c/d"));
    }
}
