//! The bytes of a file, pipe or compressed stream, in one buffer that hands out contiguous slices.

use super::gzip::Gzip;
use super::limits::BUFFER;
use super::raw::{RAW_BUFFER, Raw, Step, read_some};
use super::zstd_stream::Zstd;
use super::{gzip, zstd_stream};
use std::io::{self, Read};

enum Codec {
    Plain,
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

/// Decompressed bytes with a position.
pub(super) struct Source {
    raw: Raw,
    codec: Codec,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The position of the buffer's first byte.
    base: u64,
    ended: bool,
    fault: Option<String>,
}

impl Source {
    /// Looks at the first bytes to tell how they are compressed.
    pub(super) fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut raw = Raw { input, buffer: vec![0; RAW_BUFFER], start: 0, end: 0, position: 0 };
        while raw.end < 4 {
            let n = read_some(&mut raw.input, &mut raw.buffer[raw.end..])?;
            if n == 0 {
                break;
            }
            raw.end += n;
            raw.position += n as u64;
        }
        let head = &raw.buffer[..raw.end];
        let codec = if head.starts_with(&gzip::MAGIC) {
            Codec::Gzip(Box::new(Gzip::new()))
        } else if let Some(&first) = head.first_chunk()
            && zstd_stream::is_magic(first)
        {
            Codec::Zstd(Box::new(Zstd::new()?))
        } else {
            Codec::Plain
        };
        let mut source = Source { raw, codec, buffer: vec![0; BUFFER], start: 0, end: 0, base: 0, ended: false, fault: None };
        if matches!(source.codec, Codec::Plain) {
            let head = std::mem::take(&mut source.raw.buffer);
            source.end = std::mem::take(&mut source.raw.end);
            source.buffer[..source.end].copy_from_slice(&head[..source.end]);
        }
        Ok(source)
    }

    /// Whether the bytes come out of a compressed stream.
    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self.codec, Codec::Plain)
    }

    /// Bytes read from the underlying file.
    pub(super) fn raw_position(&self) -> u64 {
        self.raw.position
    }

    /// The position of the next byte, decompressed.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.base + self.start as u64
    }

    /// The bytes at hand.
    #[inline]
    pub(super) fn at_hand(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether `n` more bytes come; they are then at hand. The buffer grows to hold them, so `n` has a limit.
    #[inline]
    pub(super) fn has(&mut self, n: usize) -> io::Result<bool> {
        if self.end - self.start >= n { Ok(true) } else { self.fill(n) }
    }

    /// Why no more bytes come: `otherwise`, unless the compressed stream is at fault.
    pub(super) fn why_ended(&self, otherwise: impl FnOnce() -> String) -> String {
        self.fault.clone().unwrap_or_else(otherwise)
    }

    /// The compressed stream's fault, where there is one and it was met.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Passes over `n` bytes that are at hand and gives them.
    #[inline]
    pub(super) fn take(&mut self, n: usize) -> &[u8] {
        let start = self.start;
        self.start += n;
        &self.buffer[start..start + n]
    }

    /// Passes over `n` bytes in bounded memory. False where fewer come.
    pub(super) fn skip(&mut self, mut n: u64) -> io::Result<bool> {
        while n > 0 {
            if !self.has(1)? {
                return Ok(false);
            }
            let step = usize::try_from(n).unwrap_or(usize::MAX).min(self.end - self.start);
            self.start += step;
            n -= step as u64;
        }
        Ok(true)
    }

    #[cold]
    fn fill(&mut self, n: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        (self.start, self.end) = (0, self.end - self.start);
        if n <= BUFFER && self.buffer.len() > BUFFER {
            // The large record is done with; its memory is not kept.
            self.buffer.truncate(BUFFER.max(self.end));
            self.buffer.shrink_to_fit();
        }
        while self.end < n && !self.ended {
            if self.end == self.buffer.len() {
                // Grown only as bytes really come: a length alone costs no memory.
                self.buffer.resize(n.min(2 * self.end), 0);
            }
            let out = &mut self.buffer[self.end..];
            let step = match &mut self.codec {
                Codec::Plain => match self.raw.read(out)? {
                    0 => Step::End,
                    n => Step::Bytes(n),
                },
                Codec::Gzip(gzip) => gzip.read(&mut self.raw, out)?,
                Codec::Zstd(zstd) => zstd.read(&mut self.raw, out)?,
            };
            match step {
                Step::Bytes(n) => self.end += n,
                Step::End => self.ended = true,
                Step::Fault(reason) => (self.ended, self.fault) = (true, Some(reason)),
            }
        }
        Ok(self.end >= n)
    }
}
