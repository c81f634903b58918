//! LZ77+Huffman, [MS-XCA] 2.1 and 2.2: blocks of 64 KiB plain bytes, each with a table of 512 code lengths.

use super::output::{Input, Output};

/// Bytes of a block's table: 512 code lengths of 4 bits.
const TABLE_BYTES: usize = 256;
/// Symbols of a table: 256 literals, then 16 distances by 16 lengths.
const SYMBOLS: usize = 512;
/// The longest code.
const CODE_BITS_MAX: u32 = 15;
/// Plain bytes of a block.
const BLOCK_BYTES: usize = 65536;

/// Decompresses until the output is full. `None` where the bytes are not LZ77+Huffman of exactly that many bytes.
pub(super) fn decompress(compressed: &[u8], out: &mut Output) -> Option<()> {
    let mut input = Input::new(compressed);
    let floor = out.len();
    // By the next 15 bits: symbol * 16 + code length; 0 where no code begins so.
    let mut codes = vec![0u16; 1 << CODE_BITS_MAX];
    while out.room() > 0 {
        build(input.take(TABLE_BYTES)?, &mut codes)?;
        let mut bits = Bits::begin(&mut input);
        let end = out.len().saturating_add(BLOCK_BYTES);
        while out.len() < end && out.room() > 0 {
            let code = *codes.get((bits.next >> (32 - CODE_BITS_MAX)) as usize)?;
            if code == 0 {
                return None;
            }
            bits.skip(u32::from(code & 15), &mut input)?;
            let symbol = code >> 4;
            if symbol < 256 {
                out.byte(symbol as u8);
                continue;
            }
            let mut length = u32::from(symbol & 15);
            if length == 15 {
                length = u32::from(input.u8()?);
                if length == 255 {
                    length = u32::from(input.u16()?);
                    if length == 0 {
                        length = input.u32()?;
                    }
                    length = length.checked_sub(15)?;
                }
                length = length.checked_add(15)?;
            }
            let distance_bits = u32::from((symbol - 256) >> 4);
            // 0 bits: a shift by 32 in two steps.
            let low = (bits.next >> 1) >> (31 - distance_bits);
            bits.skip(distance_bits, &mut input)?;
            let distance = (1usize << distance_bits) + low as usize;
            let length = usize::try_from(length).ok()?.checked_add(3)?;
            if !out.repeat(distance, length, floor) {
                return None;
            }
        }
    }
    Some(())
}

/// Fills the table of codes: canonical, shorter codes first, then by symbol. `None` where the lengths ask for more codes than there are.
fn build(lengths: &[u8], codes: &mut [u16]) -> Option<()> {
    let mut at = 0usize;
    for bits in 1..=CODE_BITS_MAX {
        let span = 1usize << (CODE_BITS_MAX - bits);
        for symbol in 0..SYMBOLS {
            let pair = lengths.get(symbol / 2)?;
            let length = if symbol % 2 == 0 { pair & 15 } else { pair >> 4 };
            if u32::from(length) == bits {
                codes.get_mut(at..at + span)?.fill((symbol as u16) << 4 | bits as u16);
                at += span;
            }
        }
    }
    codes.get_mut(at..)?.fill(0);
    Some(())
}

/// The bit stream: words of 16 bits, little-endian, highest bit first, read ahead by one word of those in use ([MS-XCA] 2.2.4). Bytes of long
/// lengths lie between the words where the reading stands.
#[derive(Debug)]
struct Bits {
    /// The next bits, highest first.
    next: u32,
    /// Of the bits in `next`, how many are there beyond 16.
    extra: i32,
    /// Words read after the end of the input, as zeros.
    missing: i32,
}

impl Bits {
    fn begin(input: &mut Input<'_>) -> Bits {
        let mut bits = Bits { next: 0, extra: 16, missing: 0 };
        let first = bits.word(input);
        let second = bits.word(input);
        bits.next = first << 16 | second;
        bits
    }

    fn word(&mut self, input: &mut Input<'_>) -> u32 {
        match input.u16() {
            Some(word) => u32::from(word),
            None => {
                self.missing += 1;
                0
            }
        }
    }

    /// Uses up to 15 bits; `None` where they were not in the input.
    #[inline]
    fn skip(&mut self, count: u32, input: &mut Input<'_>) -> Option<()> {
        self.next <<= count;
        self.extra -= count as i32;
        if self.extra < 0 {
            self.next |= self.word(input) << -self.extra;
            self.extra += 16;
        }
        (16 * self.missing <= 16 + self.extra).then_some(())
    }
}
