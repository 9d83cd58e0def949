//! A container's log files into lines, oldest first, and what is appended later.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::LOST;
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
///
/// Rotation moves the files' names upward, `log` to `log.1` and so on, from the oldest on; a file is
/// told by what it is, not by its name.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    current: Option<LogFile>,
    buffer: Vec<u8>,
    since: Option<Timestamp>,
    /// The time of the first line that is kept, once it was read from the start.
    first: Option<Timestamp>,
}

/// One of a log's files, open.
#[derive(Debug)]
struct LogFile {
    file: File,
    inode: u64,
}

impl LogReader {
    /// Starts to read the log in the container's folder.
    pub fn open(container_dir: &Path, since: Since) -> io::Result<Self> {
        let mut reader = Self {
            path: container_dir.join("log"),
            current: None,
            buffer: Vec::new(),
            since: None,
            first: None,
        };
        match since {
            Since::Start => {}
            Since::Time(time) => reader.since = Some(time),
            Since::Now => {
                // While it is rotated, there is no `log` for a moment.
                reader.current = reader.find(|_| true)?.map(|(_, file)| file);
                if let Some(newest) = &mut reader.current {
                    let _end = newest.file.seek(SeekFrom::End(0))?;
                }
            }
        }
        Ok(reader)
    }

    fn name(&self, age: u32) -> PathBuf {
        match age {
            0 => self.path.clone(),
            _ => self.path.with_file_name(format!("log.{age}")),
        }
    }

    fn open_file(&self, age: u32) -> io::Result<Option<LogFile>> {
        match File::open(self.name(age)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                Ok(Some(LogFile { file, inode }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks for a file, newest first; returns it with its age, the place in that order.
    ///
    /// A rotation meanwhile moves files the same way, so that none is missed. It leaves one gap at a time.
    fn find(&self, mut is_it: impl FnMut(&LogFile) -> bool) -> io::Result<Option<(u32, LogFile)>> {
        let mut missing = 0;
        for age in 0.. {
            match self.open_file(age)? {
                Some(file) if is_it(&file) => return Ok(Some((age, file))),
                Some(_) => missing = 0,
                None if missing == 1 => break,
                None => missing += 1,
            }
        }
        Ok(None)
    }

    fn open_oldest(&self) -> io::Result<Option<LogFile>> {
        let mut oldest = None;
        let none = self.find(|file| {
            oldest = file.file.try_clone().ok().map(|clone| LogFile {
                file: clone,
                inode: file.inode,
            });
            false
        })?;
        debug_assert!(none.is_none(), "every file was refused");
        Ok(oldest)
    }

    /// Returns the lines that are there beyond this reader's position.
    ///
    /// An empty answer means that the end is reached for now.
    pub fn read_lines(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while lines.is_empty() {
            if self.current.is_none() {
                self.current = self.open_oldest()?;
            }
            if self.fill()? == 0 && !self.advance()? {
                break;
            }
            self.take_lines(&mut lines);
        }
        Ok(lines)
    }

    /// Tells whether lines that the reader was to read were removed before its first one.
    pub fn lost_earlier(&self) -> bool {
        let Some(first) = self.first else {
            return false;
        };
        let is_wanted = self.since.is_none_or(|since| since < first);
        is_wanted && self.path.with_file_name(LOST).exists()
    }

    /// Leaves a file that is read to its end for the one that was begun after it, if there is one.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(current) = &self.current else {
            return Ok(false);
        };
        let Some(next) = self.successor(current)? else {
            return Ok(false);
        };
        // Nothing is written to the file any more, but its last lines may have come just before.
        if self.fill()? == 0 {
            self.current = Some(next);
            self.buffer.clear();
        }
        Ok(true)
    }

    /// Returns the file that was begun after this one.
    fn successor(&self, current: &LogFile) -> io::Result<Option<LogFile>> {
        loop {
            if current.file.metadata()?.nlink() == 0 {
                // It was the oldest, so that the one after it is now.
                return self.open_oldest();
            }
            let is_current = |file: &LogFile| file.inode == current.inode;
            let Some((age, _)) = self.find(is_current)? else {
                continue;
            };
            let Some(newer) = age.checked_sub(1) else {
                return Ok(None);
            };
            let next = self.open_file(newer)?;
            // As long as this one has not moved, neither has the one before it.
            if self.open_file(age)?.as_ref().is_some_and(is_current) {
                return Ok(next);
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Some(current) = &mut self.current else {
            return Ok(0);
        };
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK_BYTES, 0);
        let read = current.file.read(&mut self.buffer[start..]);
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
        let decoded: Vec<LogLine> = whole
            .split(|&byte| byte == b'\n')
            .filter_map(LogLine::decode)
            .collect();
        self.first = self.first.or(decoded.first().map(|line| line.time));
        let decoded = decoded.into_iter();
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
    fn a_reader_knows_that_earlier_lines_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            max_size_bytes: 100,
            max_files: 2,
        };
        let mut writer = LogWriter::open(dir.path(), options).unwrap();
        let mut lost = |number: u32, since: Since| {
            let text = format!("line {number}\n");
            writer.push(Stream::Stdout, text.as_bytes(), now()).unwrap();
            let mut reader = LogReader::open(dir.path(), since).unwrap();
            reader.read_lines().unwrap();
            reader.lost_earlier()
        };
        let first = (0..10).position(|number| lost(number, Since::Start));
        assert!(first.is_some_and(|first| first > 2), "{first:?}");
        assert!(!lost(10, Since::Now));
        let later = now() + jiff::SignedDuration::from_secs(1);
        assert!(!lost(11, Since::Time(later)));
        let earlier = now() - jiff::SignedDuration::from_secs(1);
        assert!(lost(12, Since::Time(earlier)));
    }

    #[test]
    fn a_slow_reader_misses_nothing_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            max_size_bytes: 400,
            max_files: 30,
        };
        let mut writer = LogWriter::open(dir.path(), options).unwrap();
        let mut reader = LogReader::open(dir.path(), Since::Start).unwrap();
        let mut read = Vec::new();
        for number in 0..300 {
            let text = format!("{number}\n");
            writer.push(Stream::Stdout, text.as_bytes(), now()).unwrap();
            // Several rotations pass between two looks, at different places of the files.
            if number % 17 == 0 {
                read.extend(reader.read_lines().unwrap());
            }
        }
        read.extend(read_all(&mut reader));
        let texts: Vec<String> = read
            .iter()
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .collect();
        let all: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        assert_eq!(texts, all);
    }

    #[test]
    fn a_reader_beside_a_writer_misses_nothing_and_reads_nothing_twice() {
        const LINES: usize = 5_000;
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            max_size_bytes: 3_000,
            max_files: 2_000,
        };
        let mut writer = LogWriter::open(dir.path(), options).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..LINES {
                    let text = format!("{number}\n");
                    writer.push(Stream::Stdout, text.as_bytes(), now()).unwrap();
                }
            });
            let mut reader = LogReader::open(dir.path(), Since::Start).unwrap();
            let mut next = 0;
            while next < LINES {
                for line in reader.read_lines().unwrap() {
                    assert_eq!(line.bytes, next.to_string().as_bytes());
                    next += 1;
                }
            }
        });
    }

    #[test]
    fn a_reader_that_was_overtaken_goes_on_with_the_oldest_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            max_size_bytes: 100,
            max_files: 3,
        };
        let mut writer = LogWriter::open(dir.path(), options).unwrap();
        let mut push = |number: u32| {
            let text = format!("line {number}\n");
            writer.push(Stream::Stdout, text.as_bytes(), now()).unwrap();
        };
        push(0);
        let mut reader = LogReader::open(dir.path(), Since::Start).unwrap();
        assert_eq!(reader.read_lines().unwrap().len(), 1);
        (1..50).for_each(&mut push);
        let kept = read_all(&mut LogReader::open(dir.path(), Since::Start).unwrap());
        let mut seen = read_all(&mut reader);
        // What was in its own file it still has.
        seen.retain(|line| kept.contains(line));
        assert_eq!(seen, kept);
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
