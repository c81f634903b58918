//! LZNT1, [MS-XCA] 2.5: chunks of up to 4,096 plain bytes, each with its own dictionary.

use super::output::{Input, Output};

/// Plain bytes that one chunk has at most, [MS-XCA] 2.5.1.1.
const CHUNK_BYTES_MAX: usize = 4096;

/// Decompresses until the output is full. `None` where the bytes are not LZNT1 of exactly that many bytes.
pub(super) fn decompress(compressed: &[u8], out: &mut Output) -> Option<()> {
    let mut input = Input::new(compressed);
    while out.room() > 0 {
        let header = input.u16()?;
        if header == 0 {
            return None; // the end, and bytes are still wanted
        }
        let data = input.take(usize::from(header & 0x0FFF) + 1)?;
        let written =
            if header & 0x8000 == 0 { out.bytes(data) && data.len() <= CHUNK_BYTES_MAX } else { chunk(data, out).is_some() };
        if !written {
            return None;
        }
    }
    Some(())
}

/// One compressed chunk.
fn chunk(data: &[u8], out: &mut Output) -> Option<()> {
    let floor = out.len();
    let mut input = Input::new(data);
    while !input.is_empty() {
        let mut flags = input.u8()?;
        for _ in 0..8 {
            if input.is_empty() {
                break;
            }
            if flags & 1 == 0 {
                if !out.byte(input.u8()?) {
                    return None;
                }
            } else {
                let pair = input.u16()?;
                let length_bits = length_bits(out.len() - floor);
                let distance = usize::from(pair >> length_bits) + 1;
                let length = usize::from(pair & ((1 << length_bits) - 1)) + 3;
                if !out.repeat(distance, length, floor) {
                    return None;
                }
            }
            flags >>= 1;
        }
        if out.len() - floor > CHUNK_BYTES_MAX {
            return None;
        }
    }
    Some(())
}

/// How many of a match's 16 bits are its length, after so many plain bytes of the chunk ([MS-XCA] 2.5.1.4): as few bits as can name each place
/// written so far, but at least 4, are its distance.
fn length_bits(written: usize) -> u32 {
    let distance_bits = (usize::BITS - written.saturating_sub(1).leading_zeros()).max(4);
    16u32.saturating_sub(distance_bits).max(4)
}
