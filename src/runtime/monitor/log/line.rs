//! One line of a log file, to bytes and back.

use std::io::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a container wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line that a container wrote, without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub time: Timestamp,
    /// Where it was written.
    pub stream: Stream,
    /// The bytes, as written.
    pub bytes: Vec<u8>,
    /// Whether the rest of the line follows in another piece.
    pub partial: bool,
}

impl LogLine {
    /// Appends the line as the file has it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let tag = if self.partial { "P" } else { "F" };
        // Writing to a vector cannot fail.
        drop(write!(
            out,
            "{:.9} {} {tag} ",
            self.time,
            self.stream.name()
        ));
        out.extend_from_slice(&self.bytes);
        out.push(b'\n');
    }

    /// Reads a line of the file, without its line feed; `None` for what is not one.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let stream = match parts.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match parts.next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        Some(Self {
            time,
            stream,
            bytes: parts.next()?.to_vec(),
            partial,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_read_back_is_the_line_written(
            bytes in proptest::collection::vec(any::<u8>().prop_filter("line", |b| *b != b'\n'), 0..200),
            nanos in 0_i64..1_000_000_000,
            partial: bool,
        ) {
            let time = Timestamp::new(1_700_000_000, i32::try_from(nanos).unwrap()).unwrap();
            let line = LogLine { time, stream: Stream::Stderr, bytes, partial };
            let mut out = Vec::new();
            line.encode(&mut out);
            prop_assert_eq!(LogLine::decode(out.strip_suffix(b"\n").unwrap()), Some(line));
        }
    }
}
