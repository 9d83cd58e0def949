//! A container's output on disk: one line a line, with time and stream, rotated by size.
//!
//! A line of the file is `<RFC 3339 time> <stdout|stderr> <F|P> <bytes>`, the format that the
//! Kubernetes container runtime interface has for logs: the bytes are as the container wrote them.
//! `P` marks a piece of a longer line, `F` its end.
//!
//! | file | what it is |
//! |---|---|
//! | `log` | what is written now |
//! | `log.1`, `log.2`, … | what was rotated, newest first |
//! | `log.lost` | empty: older lines than those of all these files were removed |

mod line;
mod reader;
mod writer;

pub use line::{LogLine, Stream};
pub use reader::{LogReader, Since};
pub use writer::{LogOptions, LogWriter};

/// The name of the file that says that older lines were removed.
const LOST: &str = "log.lost";

/// The longest piece of one line; what is longer is written in several.
const PIECE_LIMIT_BYTES: usize = 16 << 10;
