//! Buffers between two threads: filled by one, read by the other, then given back to be filled again.
//!
//! Fresh memory costs more than the work done in it, so a pipe has a fixed handful of buffers.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const BUFFER_BYTES: usize = 256 << 10;
const BUFFERS: usize = 6;

/// The end that is written to; dropping it ends the stream.
#[derive(Debug)]
pub(super) struct PipeWriter {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
}

/// The end that is read from; dropping it makes writing fail.
#[derive(Debug)]
pub(super) struct PipeReader {
    full: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

/// Makes a pipe.
pub(super) fn pipe() -> (PipeWriter, PipeReader) {
    let (full_sender, full_receiver) = sync_channel(BUFFERS);
    let (empty_sender, empty_receiver) = sync_channel(BUFFERS);
    for _ in 1..BUFFERS {
        // The channel has room for all of them and its other end is in our hands.
        drop(empty_sender.try_send(Vec::with_capacity(BUFFER_BYTES)));
    }
    let writer = PipeWriter {
        full: full_sender,
        empty: empty_receiver,
        buffer: Vec::with_capacity(BUFFER_BYTES),
    };
    let reader = PipeReader {
        full: full_receiver,
        empty: empty_sender,
        buffer: Vec::new(),
        at: 0,
    };
    (writer, reader)
}

impl PipeWriter {
    /// Fills one buffer from `source` and passes it on; returns how much it got, 0 at the end.
    pub(super) fn fill_from(
        &mut self,
        source: &mut impl Read,
        look: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut filled = 0;
        while filled < BUFFER_BYTES {
            match source.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        look(&self.buffer);
        if filled > 0 {
            self.pass()?;
        }
        Ok(filled)
    }

    fn pass(&mut self) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let mut next = self
            .empty
            .recv()
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        next.clear();
        let full = std::mem::replace(&mut self.buffer, next);
        self.full.send(full).map_err(gone)
    }
}

/// Copies small pieces together; for a stream that comes in pieces of its own.
impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BUFFER_BYTES - self.buffer.len();
        let count = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == BUFFER_BYTES {
            self.pass()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.pass()
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            let Ok(next) = self.full.recv() else {
                return Ok(&[]);
            };
            let used = std::mem::replace(&mut self.buffer, next);
            self.at = 0;
            if used.capacity() > 0 {
                // A writer that has finished does not want it back.
                drop(self.empty.try_send(used));
            }
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_order() {
        let (mut writer, mut reader) = pipe();
        let sent: Vec<u8> = (0..3_000_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        let copy = sent.clone();
        let thread = std::thread::spawn(move || {
            for piece in copy.chunks(7001) {
                writer.write_all(piece).unwrap();
            }
            writer.flush().unwrap();
        });
        let mut got = Vec::new();
        assert_eq!(reader.read_to_end(&mut got).unwrap(), sent.len());
        assert!(got == sent);
        thread.join().unwrap();
    }

    #[test]
    fn a_writer_without_a_reader_stops() {
        let (mut writer, reader) = pipe();
        drop(reader);
        let written = io::copy(&mut io::repeat(1).take(10 << 20), &mut writer);
        assert!(written.is_err());
    }
}
