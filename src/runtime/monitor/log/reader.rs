//! A container's log files into lines, oldest first, and what is appended later.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::LogLine;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// A line of the file is never longer than a piece and its head; what is longer is damage.
const LINE_LIMIT_BYTES: usize = super::PIECE_LIMIT_BYTES + 128;

/// From where a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// All that is kept.
    Start,
    /// Lines of this time and later.
    Time(Timestamp),
    /// What is written from now on.
    Now,
}

/// A position in the log of one container, which survives rotation.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    /// Older files that were there at the start, oldest first.
    older: VecDeque<PathBuf>,
    current: Option<File>,
    inode: u64,
    buffer: Vec<u8>,
    since: Option<Timestamp>,
}

impl LogReader {
    /// Starts to read the log in the container's folder.
    pub fn open(container_dir: &Path, since: Since) -> io::Result<Self> {
        let path = container_dir.join("log");
        let mut reader = Self {
            path,
            older: VecDeque::new(),
            current: None,
            inode: 0,
            buffer: Vec::new(),
            since: None,
        };
        match since {
            Since::Start => reader.list_older(),
            Since::Time(time) => {
                reader.since = Some(time);
                reader.list_older();
            }
            Since::Now => {
                if reader.open_current()? {
                    let _end = reader.seek_to_end()?;
                }
            }
        }
        Ok(reader)
    }

    fn list_older(&mut self) {
        let numbered = |number: u32| self.path.with_file_name(format!("log.{number}"));
        let found = (1..).map(numbered).take_while(|path| path.exists());
        let newest_first: Vec<PathBuf> = found.collect();
        self.older = newest_first.into_iter().rev().collect();
    }

    fn seek_to_end(&mut self) -> io::Result<u64> {
        self.current
            .as_mut()
            .map_or(Ok(0), |file| file.seek(SeekFrom::End(0)))
    }

    /// Opens the current file; reports whether there is one.
    fn open_current(&mut self) -> io::Result<bool> {
        match File::open(&self.path) {
            Ok(file) => {
                self.inode = file.metadata()?.ino();
                self.current = Some(file);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the lines that are there beyond this reader's position.
    ///
    /// An empty answer means that the end is reached for now.
    pub fn read_lines(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while lines.is_empty() {
            if self.current.is_none() && !self.open_next()? {
                break;
            }
            if self.fill()? == 0 {
                if !self.advance()? {
                    break;
                }
                continue;
            }
            self.take_lines(&mut lines);
        }
        Ok(lines)
    }

    fn open_next(&mut self) -> io::Result<bool> {
        while let Some(path) = self.older.pop_front() {
            match File::open(&path) {
                Ok(file) => {
                    self.inode = 0;
                    self.current = Some(file);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.open_current()
    }

    /// Leaves a file that is read to its end, if it is not the one being written.
    fn advance(&mut self) -> io::Result<bool> {
        if self.inode == 0 {
            self.current = None;
            return Ok(true);
        }
        let now = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if now == self.inode {
            return Ok(false);
        }
        // The file was rotated away between two reads; its last lines may have come just before.
        if self.fill()? == 0 {
            self.current = None;
        }
        Ok(true)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Some(file) = self.current.as_mut() else {
            return Ok(0);
        };
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK_BYTES, 0);
        let read = file.read(&mut self.buffer[start..]);
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(start + count);
        read
    }

    fn take_lines(&mut self, lines: &mut Vec<LogLine>) {
        let Some(last) = self.buffer.iter().rposition(|&byte| byte == b'\n') else {
            if self.buffer.len() > LINE_LIMIT_BYTES {
                self.buffer.clear();
            }
            return;
        };
        let rest = self.buffer.split_off(last + 1);
        let whole = std::mem::replace(&mut self.buffer, rest);
        let decoded = whole
            .split(|&byte| byte == b'\n')
            .filter_map(LogLine::decode);
        lines.extend(decoded.filter(|line| self.since.is_none_or(|since| line.time >= since)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogOptions, LogWriter, Stream};
    use super::*;

    fn now() -> Timestamp {
        Timestamp::new(1_700_000_000, 5).unwrap()
    }

    fn read_all(reader: &mut LogReader) -> Vec<LogLine> {
        let mut all = Vec::new();
        loop {
            let lines = reader.read_lines().unwrap();
            if lines.is_empty() {
                return all;
            }
            all.extend(lines);
        }
    }

    #[test]
    fn a_reader_follows_through_every_rotation_and_keeps_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            max_size_bytes: 500,
            max_files: 3,
        };
        let mut writer = LogWriter::open(dir.path(), options).unwrap();
        let mut reader = LogReader::open(dir.path(), Since::Now).unwrap();
        for number in 0..100 {
            let text = format!("line {number}\n");
            writer.push(Stream::Stdout, text.as_bytes(), now()).unwrap();
            let lines = read_all(&mut reader);
            assert_eq!(lines.len(), 1, "at {number}");
            assert_eq!(lines[0].bytes, format!("line {number}").as_bytes());
        }
        assert!(dir.path().join("log.2").exists());
        assert!(!dir.path().join("log.3").exists());
        let kept = read_all(&mut LogReader::open(dir.path(), Since::Start).unwrap());
        assert_eq!(kept.last().unwrap().bytes, b"line 99");
        assert!(kept.len() > 10 && kept.len() < 40, "{}", kept.len());
    }

    #[test]
    fn a_long_line_is_written_in_pieces_and_the_end_without_a_line_feed_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(dir.path(), LogOptions::default()).unwrap();
        let long = vec![b'x'; 40 << 10];
        writer.push(Stream::Stderr, &long, now()).unwrap();
        writer.push(Stream::Stderr, b"\nend", now()).unwrap();
        writer.finish(now()).unwrap();
        let lines = read_all(&mut LogReader::open(dir.path(), Since::Start).unwrap());
        let total: usize = lines
            .iter()
            .filter(|l| l.bytes.starts_with(b"x"))
            .map(|l| l.bytes.len())
            .sum();
        assert_eq!(total, 40 << 10);
        assert!(lines[0].partial);
        assert_eq!(lines.last().unwrap().bytes, b"end");
    }

    #[test]
    fn lines_that_are_written_at_once_have_a_time_each() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(dir.path(), LogOptions::default()).unwrap();
        let text = b"one\ntwo\nthree\n";
        writer.push(Stream::Stdout, text, now()).unwrap();
        writer.push(Stream::Stderr, b"four\n", now()).unwrap();
        let lines = read_all(&mut LogReader::open(dir.path(), Since::Start).unwrap());
        assert_eq!((lines.len(), lines[0].time), (4, now()));
        assert!(
            lines.is_sorted_by(|one, next| one.time < next.time),
            "{lines:?}"
        );
        let mut late = LogReader::open(dir.path(), Since::Time(lines[2].time)).unwrap();
        assert_eq!(read_all(&mut late), lines[2..]);
    }
}
