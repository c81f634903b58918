//! A zstd file (RFC 8878): frames one after the other, bytes before an error kept.

use super::limits::ZSTD_WINDOW_LOG_MAX;
use super::raw::{Raw, Step};
use std::io;
use zstd::stream::raw::{DParameter, Decoder, Operation};

/// Whether a file that begins so is zstd: a frame, or a frame to be skipped.
pub(super) fn is_magic(first: [u8; 4]) -> bool {
    first == [0x28, 0xb5, 0x2f, 0xfd] || (first[0] & 0xf0 == 0x50 && first[1..] == [0x2a, 0x4d, 0x18])
}

/// What a frame's reading begins with, in bytes: magic number and descriptor.
const FRAME_START: usize = 5;

pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// The bytes that the decoder needs next. It is given no more, so that each call decodes one block at most: a call that
    /// fails then never takes bytes with it that were sound.
    wanted: usize,
    in_frame: bool,
    /// The last call filled its output within a frame, so the decoder may hold more.
    full: bool,
    ended: bool,
}

impl Zstd {
    pub(super) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Zstd { decoder, wanted: FRAME_START, in_frame: false, full: false, ended: false })
    }

    /// Fills some of `out`, which is not empty.
    pub(super) fn read(&mut self, raw: &mut Raw, out: &mut [u8]) -> io::Result<Step> {
        while !self.ended {
            let input = if self.full { &[][..] } else { raw.bytes()? };
            if input.is_empty() && !self.full {
                self.ended = true;
                let cut_off = || Step::Fault("the zstd stream is cut off".to_owned());
                return Ok(if self.in_frame { cut_off() } else { Step::End });
            }
            let input = &input[..input.len().min(self.wanted)];
            let status = match self.decoder.run_on_buffers(input, out) {
                Ok(status) => status,
                Err(error) => {
                    self.ended = true;
                    return Ok(Step::Fault(format!("the zstd stream is corrupt: {}", lower(&error.to_string()))));
                }
            };
            let stuck = status.bytes_read == 0 && status.bytes_written == 0 && !self.full;
            self.full = status.bytes_written == out.len() && status.remaining != 0;
            self.in_frame = status.remaining != 0;
            // What was given short of the wish is still wished for.
            self.wanted = if self.in_frame { status.remaining } else { FRAME_START };
            raw.consume(status.bytes_read);
            if status.bytes_written > 0 {
                return Ok(Step::Bytes(status.bytes_written));
            }
            if stuck {
                self.ended = true;
                return Ok(Step::Fault("the zstd stream is corrupt".to_owned()));
            }
        }
        Ok(Step::End)
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
