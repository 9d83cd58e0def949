//! What happened to a project's containers: one JSON object a line, appended by whoever did or saw it.
//!
//! Each line is one `write` to a file opened for appending, so that lines of several processes never
//! mix. The file is bounded: whoever appends beyond the bound renames it to `events.1` first.
//!
//! **Invariant:** a file is renamed by one process only, and only while the path still leads to it: of
//! two that find it full at once, the second would rename the new one over the old.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::runtime::store::open_append;

/// The file is started anew beyond this.
const LIMIT_BYTES: u64 = 4 << 20;

/// One thing that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    /// When it happened.
    pub time: Timestamp,
    /// The container.
    pub id: String,
    /// What happened, in Docker's words: `create`, `start`, `die`, `health_status: healthy`, …
    pub action: String,
    /// What is to be said about it, the container's name among it.
    pub attributes: BTreeMap<String, String>,
}

/// Appends `event` to the file at `path`.
pub fn append(path: &Path, event: &ContainerEvent) -> io::Result<()> {
    let mut file = open_append(path)?;
    if file.metadata()?.len() > LIMIT_BYTES {
        set_aside(path, &file)?;
        file = open_append(path)?;
    }
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Renames the file at `path`, which was full when it was opened, unless somebody else has or does.
fn set_aside(path: &Path, full: &File) -> io::Result<()> {
    match flock(full, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        // Somebody else does it just now: one more line in the old file is nothing to wait for.
        Err(Errno::WOULDBLOCK) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let is_there = match std::fs::metadata(path) {
        Ok(metadata) => metadata.ino() == full.metadata()?.ino(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if is_there {
        std::fs::rename(path, path.with_extension("1"))?;
    }
    Ok(())
}

/// A position in the events of one project.
#[derive(Debug)]
pub struct EventReader {
    path: PathBuf,
    file: Option<BufReader<File>>,
    inode: u64,
    line: Vec<u8>,
}

impl EventReader {
    /// Starts at the oldest event that is kept.
    pub fn open_at_start(path: &Path) -> io::Result<Self> {
        let mut reader = Self::open(&path.with_extension("1"));
        let _is_there = reader.open_file()?;
        // At the end of the earlier file, the current one is another file, and is read next.
        path.clone_into(&mut reader.path);
        Ok(reader)
    }

    /// Starts at the oldest event that is kept in the current file.
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            inode: 0,
            line: Vec::new(),
        }
    }

    /// Starts with the next event.
    pub fn open_at_end(path: &Path) -> io::Result<Self> {
        let mut reader = Self::open(path);
        if reader.open_file()?
            && let Some(file) = &mut reader.file
        {
            let _end = file.seek(SeekFrom::End(0))?;
        }
        Ok(reader)
    }

    fn open_file(&mut self) -> io::Result<bool> {
        match File::open(&self.path) {
            Ok(file) => {
                self.inode = file.metadata()?.ino();
                self.file = Some(BufReader::new(file));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the next event, or `None` if there is none yet.
    pub fn next_event(&mut self) -> io::Result<Option<ContainerEvent>> {
        loop {
            if self.file.is_none() && !self.open_file()? {
                return Ok(None);
            }
            let Some(file) = &mut self.file else {
                return Ok(None);
            };
            // Looked at first: what is appended to a file before it is renamed is then still read.
            let now = std::fs::metadata(&self.path).map_or(self.inode, |metadata| metadata.ino());
            let _count = file.read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\n") {
                let parsed = serde_json::from_slice(&self.line);
                self.line.clear();
                // A line that is not an event is damage of that line only.
                if let Ok(event) = parsed {
                    return Ok(Some(event));
                }
                continue;
            }
            if now == self.inode {
                return Ok(None);
            }
            self.file = None;
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> ContainerEvent {
        let attributes = BTreeMap::from([("name".to_owned(), format!("web-{number}"))]);
        let time = Timestamp::new(1_700_000_000, 0).unwrap();
        ContainerEvent {
            time,
            id: "abc".to_owned(),
            action: "start".to_owned(),
            attributes,
        }
    }

    #[test]
    fn a_reader_from_the_start_sees_the_earlier_file_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        append(&path.with_extension("1"), &event(1)).unwrap();
        append(&path, &event(2)).unwrap();
        let mut reader = EventReader::open_at_start(&path).unwrap();
        assert_eq!(reader.next_event().unwrap(), Some(event(1)));
        assert_eq!(reader.next_event().unwrap(), Some(event(2)));
        assert_eq!(reader.next_event().unwrap(), None);
        append(&path, &event(3)).unwrap();
        assert_eq!(reader.next_event().unwrap(), Some(event(3)));
    }

    #[test]
    fn two_that_find_the_file_full_at_once_set_it_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        append(&path, &event(1)).unwrap();
        let (first, second) = (open_append(&path).unwrap(), open_append(&path).unwrap());
        set_aside(&path, &first).unwrap();
        set_aside(&path, &second).unwrap();
        drop(first);
        append(&path, &event(2)).unwrap();
        set_aside(&path, &second).unwrap();
        let mut reader = EventReader::open_at_start(&path).unwrap();
        assert_eq!(reader.next_event().unwrap(), Some(event(1)));
        assert_eq!(reader.next_event().unwrap(), Some(event(2)));
    }

    #[test]
    fn a_reader_sees_each_event_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut early = EventReader::open_at_end(&path).unwrap();
        assert_eq!(early.next_event().unwrap(), None);
        append(&path, &event(1)).unwrap();
        let mut late = EventReader::open_at_end(&path).unwrap();
        append(&path, &event(2)).unwrap();
        assert_eq!(early.next_event().unwrap(), Some(event(1)));
        assert_eq!(early.next_event().unwrap(), Some(event(2)));
        assert_eq!(early.next_event().unwrap(), None);
        assert_eq!(late.next_event().unwrap(), Some(event(2)));
        assert_eq!(
            EventReader::open(&path).next_event().unwrap(),
            Some(event(1))
        );
    }
}
