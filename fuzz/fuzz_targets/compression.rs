//! A byte of limit, then any bytes, as a compressed SMB message without its first four.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taploop::smb::compress::{DECOMPRESSED_BYTES_MAX, PROTOCOL_ID, decompress_message};

fuzz_target!(|data: &[u8]| {
    let Some((&limit, rest)) = data.split_first() else { return };
    let limit = if limit == 0 { DECOMPRESSED_BYTES_MAX } else { usize::from(limit) << 8 };
    let message = [&PROTOCOL_ID, rest].concat();
    let Ok(plain) = decompress_message(&message, limit) else { return };
    let word = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().expect("a header"));
    let is_chained = message[10] & 1 != 0;
    let said = u64::from(word(4)) + if is_chained { 0 } else { u64::from(word(12)) };
    assert!(plain.len() <= limit && plain.len() as u64 == said, "what came out is what was promised");
    assert_eq!(decompress_message(&message, limit), Ok(plain));
});
