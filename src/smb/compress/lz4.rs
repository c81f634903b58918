//! The LZ4 block format (lz4_Block_format.md of the LZ4 project): what [MS-SMB2] 2.2.3.1.3 calls LZ4. No frame header stands before it.

use super::output::{Input, Output};

/// Decompresses until the output is full. `None` where the bytes are not an LZ4 block of exactly that many bytes.
pub(super) fn decompress(compressed: &[u8], out: &mut Output) -> Option<()> {
    let mut input = Input::new(compressed);
    let floor = out.len();
    loop {
        let token = input.u8()?;
        let literals = length(u32::from(token >> 4), &mut input)?;
        if !out.bytes(input.take(literals)?) {
            return None;
        }
        // The last sequence is literals only.
        if input.is_empty() {
            return (out.room() == 0).then_some(());
        }
        let distance = usize::from(input.u16()?);
        let matched = length(u32::from(token & 15), &mut input)?.checked_add(4)?;
        if !out.repeat(distance, matched, floor) {
            return None;
        }
    }
}

/// A length of 4 bits, and where it is 15, of further bytes up to one that is not 255.
fn length(first: u32, input: &mut Input<'_>) -> Option<usize> {
    let mut sum = first as usize;
    if first == 15 {
        loop {
            let byte = input.u8()?;
            sum = sum.checked_add(usize::from(byte))?;
            if byte != 255 {
                break;
            }
        }
    }
    Some(sum)
}
