//! A container's output on disk: one line a line, with time and stream, rotated by size.
//!
//! A line of the file is `<RFC 3339 time> <stdout|stderr> <F|P> <bytes>`, the format that the
//! Kubernetes container runtime interface has for logs: the bytes are as the container wrote them.
//! `P` marks a piece of a longer line, `F` its end.

mod line;
mod reader;
mod writer;

pub use line::{LogLine, Stream};
pub use reader::{LogReader, Since};
pub use writer::{LogOptions, LogWriter};

/// The longest piece of one line; what is longer is written in several.
const PIECE_LIMIT_BYTES: usize = 16 << 10;
