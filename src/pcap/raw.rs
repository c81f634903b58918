//! The bytes of a file or pipe as they come, before any decompression.

use std::io::{self, ErrorKind, Read};

/// The buffer of compressed bytes, in bytes.
pub(super) const RAW_BUFFER: usize = 128 << 10;

/// What one step of reading brought.
pub(super) enum Step {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The end.
    End,
    /// The compressed stream cannot be read further, for this reason.
    Fault(String),
}

/// The underlying file, and how far it was read.
pub(super) struct Raw {
    pub(super) input: Box<dyn Read + Send>,
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) position: u64,
}

impl Raw {
    /// Reads past the buffer.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = read_some(&mut self.input, out)?;
        self.position += n as u64;
        Ok(n)
    }

    /// The bytes that come next; empty at the end.
    pub(super) fn bytes(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.buffer.resize(RAW_BUFFER, 0);
            (self.start, self.end) = (0, 0);
            self.end = read_some(&mut self.input, &mut self.buffer)?;
            self.position += self.end as u64;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Passes over bytes that [`Raw::bytes`] gave.
    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.bytes()?.first().copied();
        self.start += usize::from(byte.is_some());
        Ok(byte)
    }
}

/// Reads once, whatever signals come in between.
pub(super) fn read_some(input: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(out) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
