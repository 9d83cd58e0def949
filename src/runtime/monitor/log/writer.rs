//! Bytes from a container's pipes into lines of its log file.
//!
//! **Invariant:** each line has a later time than the one before, so that whoever has read up to a time goes on with
//! the first line after it and misses none.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::line::{LogLine, Stream};
use super::{LOST, PIECE_LIMIT_BYTES};
use crate::runtime::store::open_append;

/// What lies between a moment and the next one.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

/// How much of a container's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// The file is rotated before it grows beyond this.
    pub max_size_bytes: u64,
    /// How many files are kept, the current one included; at least 1.
    pub max_files: u32,
}

impl Default for LogOptions {
    /// Ten files of 10 MiB: a log never fills a disk unasked.
    fn default() -> Self {
        Self {
            max_size_bytes: 10 << 20,
            max_files: 10,
        }
    }
}

/// The log of one container, open for writing.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    options: LogOptions,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    encoded: Vec<u8>,
    last_time: Timestamp,
}

impl LogWriter {
    /// Opens the log in the container's folder and goes on at its end.
    pub fn open(container_dir: &Path, options: LogOptions) -> io::Result<Self> {
        let path = container_dir.join("log");
        let file = open_append(&path)?;
        let size_bytes = file.metadata()?.len();
        let (stdout, stderr, encoded) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            path,
            file,
            size_bytes,
            options,
            stdout,
            stderr,
            encoded,
            last_time: Timestamp::MIN,
        })
    }

    /// Takes bytes that the container wrote to `stream` and writes each whole line.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        let mut held = std::mem::take(self.held(stream));
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) => {
                    held.extend_from_slice(end);
                    self.encode(&held, stream, now, End::Line);
                    held.clear();
                }
                None => held.extend_from_slice(part),
            }
        }
        if held.len() >= PIECE_LIMIT_BYTES {
            self.encode(&held, stream, now, End::Piece);
            held.clear();
        }
        *self.held(stream) = held;
        self.flush()
    }

    /// Writes what the container wrote without a line feed at its end.
    pub fn finish(&mut self, now: Timestamp) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let held = std::mem::take(self.held(stream));
            if !held.is_empty() {
                self.encode(&held, stream, now, End::Line);
            }
        }
        self.flush()
    }

    fn held(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn encode(&mut self, bytes: &[u8], stream: Stream, now: Timestamp, end: End) {
        let mut pieces = bytes.chunks(PIECE_LIMIT_BYTES).peekable();
        if pieces.peek().is_none() {
            let line = LogLine {
                time: self.later_time(now),
                stream,
                bytes: Vec::new(),
                partial: end == End::Piece,
            };
            line.encode(&mut self.encoded);
        }
        while let Some(piece) = pieces.next() {
            let partial = pieces.peek().is_some() || end == End::Piece;
            let line = LogLine {
                time: self.later_time(now),
                stream,
                bytes: piece.to_vec(),
                partial,
            };
            line.encode(&mut self.encoded);
        }
    }

    /// Returns now, or the moment after the last line where the clock has not moved on since.
    fn later_time(&mut self, now: Timestamp) -> Timestamp {
        let next = self.last_time.checked_add(INSTANT).unwrap_or(now);
        self.last_time = now.max(next);
        self.last_time
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.encoded.is_empty() {
            return Ok(());
        }
        let encoded = std::mem::take(&mut self.encoded);
        let written = self.append(&encoded);
        self.encoded = encoded;
        self.encoded.clear();
        written
    }

    /// Writes whole lines, or none of them.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let more = lines.len() as u64;
        if self.size_bytes > 0 && self.size_bytes + more > self.options.max_size_bytes {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(lines) {
            // The next line would be glued to the first part of this one. Best effort: the disk is full.
            drop(self.file.set_len(self.size_bytes));
            return Err(error);
        }
        self.size_bytes += more;
        Ok(())
    }

    /// Renames `log` to `log.1`, `log.1` to `log.2` and so on, and starts a new file.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| self.path.with_file_name(format!("log.{number}"));
        let oldest = self.options.max_files.saturating_sub(1);
        if oldest == 0 || numbered(oldest).exists() {
            // Before the lines go, so that they never go in silence.
            drop(File::create(self.path.with_file_name(LOST))?);
        }
        if oldest == 0 {
            fs::remove_file(&self.path)?;
        } else {
            for number in (1..oldest).rev() {
                match fs::rename(numbered(number), numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(&self.path, numbered(1))?;
        }
        self.file = open_append(&self.path)?;
        self.size_bytes = 0;
        Ok(())
    }
}

/// What ends a run of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    Piece,
}
