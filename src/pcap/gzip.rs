//! A gzip file (RFC 1952): members one after the other, checksums held, bytes before an error kept.

use super::raw::{Raw, Step};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io;

/// The bytes that a member begins with.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

enum Place {
    /// Before a member's header.
    Header,
    /// In its compressed bytes.
    Body,
    /// Before its checksum and length.
    Trailer,
    /// Nothing follows, or nothing that can be read.
    End,
}

pub(super) struct Gzip {
    place: Place,
    inflate: Decompress,
    checksum: Crc,
    members: u64,
}

/// What stops the reading of one part of a member.
enum Stop {
    Io(io::Error),
    Fault(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

fn cut_off() -> Stop {
    Stop::Fault("the gzip stream is cut off".to_owned())
}

impl Gzip {
    pub(super) fn new() -> Self {
        Gzip { place: Place::Header, inflate: Decompress::new(false), checksum: Crc::new(), members: 0 }
    }

    /// Fills some of `out`, which is not empty.
    pub(super) fn read(&mut self, raw: &mut Raw, out: &mut [u8]) -> io::Result<Step> {
        loop {
            let step = match self.place {
                Place::Header => self.header(raw).map(|more| if more { None } else { Some(Step::End) }),
                Place::Body => self.body(raw, out),
                Place::Trailer => self.trailer(raw).map(|()| None),
                Place::End => return Ok(Step::End),
            };
            match step {
                Ok(None) => {}
                Ok(Some(step)) => return Ok(step),
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::Fault(reason)) => {
                    self.place = Place::End;
                    return Ok(Step::Fault(reason));
                }
            }
        }
    }

    /// Reads a member's header. False where the file ends instead.
    fn header(&mut self, raw: &mut Raw) -> Result<bool, Stop> {
        let mut first = raw.byte()?;
        if self.members > 0 {
            // Tapes and block devices pad files with zeros, and gzip passes over them.
            while first == Some(0) {
                first = raw.byte()?;
            }
        }
        let Some(first) = first else {
            self.place = Place::End;
            return Ok(false);
        };
        let mut rest = [0; 9];
        if first != MAGIC[0] {
            return Err(Stop::Fault("something that is not gzip follows the gzip stream".to_owned()));
        }
        for byte in &mut rest {
            *byte = raw.byte()?.ok_or_else(cut_off)?;
        }
        let [second, method, flags, ..] = rest;
        if second != MAGIC[1] {
            return Err(Stop::Fault("something that is not gzip follows the gzip stream".to_owned()));
        }
        if method != 8 {
            return Err(Stop::Fault(format!("the gzip stream uses the unknown compression method {method}")));
        }
        let mut skip = 0;
        if flags & 4 != 0 {
            let low = raw.byte()?.ok_or_else(cut_off)?;
            skip = u16::from_le_bytes([low, raw.byte()?.ok_or_else(cut_off)?]);
        }
        for _ in 0..skip {
            raw.byte()?.ok_or_else(cut_off)?;
        }
        for flag in [8, 16] {
            // The file's name and a comment, each closed by a zero.
            while flags & flag != 0 && raw.byte()?.ok_or_else(cut_off)? != 0 {}
        }
        if flags & 2 != 0 {
            raw.byte()?.ok_or_else(cut_off)?;
            raw.byte()?.ok_or_else(cut_off)?;
        }
        self.members += 1;
        self.inflate.reset(false);
        self.checksum.reset();
        self.place = Place::Body;
        Ok(true)
    }

    fn body(&mut self, raw: &mut Raw, out: &mut [u8]) -> Result<Option<Step>, Stop> {
        loop {
            let input = raw.bytes()?;
            let (at_end, before) = (input.is_empty(), (self.inflate.total_in(), self.inflate.total_out()));
            let status = self.inflate.decompress(input, out, FlushDecompress::None);
            // Both totals advance by no more than the slices given, also where the call fails.
            let taken = (self.inflate.total_in() - before.0) as usize;
            let made = (self.inflate.total_out() - before.1) as usize;
            raw.consume(taken);
            self.checksum.update(&out[..made]);
            match status {
                Ok(Status::StreamEnd) => {
                    self.place = Place::Trailer;
                    return Ok((made > 0).then_some(Step::Bytes(made)));
                }
                Err(_) if made == 0 => return Err(Stop::Fault("the gzip stream is corrupt".to_owned())),
                _ if made > 0 => return Ok(Some(Step::Bytes(made))),
                _ if at_end => return Err(cut_off()),
                _ if taken == 0 => return Err(Stop::Fault("the gzip stream is corrupt".to_owned())),
                _ => {}
            }
        }
    }

    fn trailer(&mut self, raw: &mut Raw) -> Result<(), Stop> {
        let mut trailer = [0; 8];
        for byte in &mut trailer {
            *byte = raw.byte()?.ok_or_else(cut_off)?;
        }
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.checksum.sum() || u32::from_le_bytes([e, f, g, h]) != self.checksum.amount() {
            return Err(Stop::Fault("the gzip stream is corrupt: its checksum does not match".to_owned()));
        }
        self.place = Place::Header;
        Ok(())
    }
}
