//! Pattern_V1, [MS-SMB2] 2.2.42.2.2: one byte, repeated.

use super::output::{Input, Output};

/// Appends the repeated byte. `None` where the payload is short or there is no room for so many.
pub(super) fn decompress(payload: &[u8], out: &mut Output) -> Option<()> {
    let mut input = Input::new(payload);
    let pattern = input.u8()?;
    input.take(3)?; // Reserved1, Reserved2
    let repetitions = usize::try_from(input.u32()?).ok()?;
    out.fill(pattern, repetitions).then_some(())
}
