//! Plain LZ77, [MS-XCA] 2.3 and 2.4: 32 flags, then as many literals and matches.

use super::output::{Input, Output};

/// Decompresses until the output is full. `None` where the bytes are not plain LZ77 of exactly that many bytes.
pub(super) fn decompress(compressed: &[u8], out: &mut Output) -> Option<()> {
    let mut input = Input::new(compressed);
    let floor = out.len();
    // The byte whose upper half is the next length.
    let mut half: Option<u8> = None;
    while out.room() > 0 {
        let mut flags = input.u32()?;
        let mut left = 32;
        while left > 0 && out.room() > 0 {
            let literals = flags.leading_zeros().min(left) as usize;
            if literals > 0 {
                let count = literals.min(out.room());
                out.bytes(input.take(count)?);
                flags = flags.checked_shl(literals as u32).unwrap_or(0);
                left -= literals as u32;
                continue;
            }
            flags <<= 1;
            left -= 1;
            let pair = input.u16()?;
            let distance = usize::from(pair >> 3) + 1;
            let mut length = u32::from(pair & 7);
            if length == 7 {
                length = u32::from(match half.take() {
                    Some(byte) => byte >> 4,
                    None => {
                        let byte = input.u8()?;
                        half = Some(byte);
                        byte & 15
                    }
                });
                if length == 15 {
                    length = u32::from(input.u8()?);
                    if length == 255 {
                        length = u32::from(input.u16()?);
                        if length == 0 {
                            length = input.u32()?;
                        }
                        length = length.checked_sub(15 + 7)?;
                    }
                    length = length.checked_add(15)?;
                }
                length = length.checked_add(7)?;
            }
            let length = usize::try_from(length).ok()?.checked_add(3)?;
            if !out.repeat(distance, length, floor) {
                return None;
            }
        }
    }
    Some(())
}
