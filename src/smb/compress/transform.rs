//! SMB2 COMPRESSION_TRANSFORM_HEADER, [MS-SMB2] 2.2.42: one compressed segment, or a chain of payloads.

use super::output::{Input, Output};
use super::{huffman, lz4, lz77, lznt1, pattern};
use std::fmt;

/// The first bytes of a compressed message.
pub const PROTOCOL_ID: [u8; 4] = [0xFC, b'S', b'M', b'B'];

/// Bytes that one decompressed message may have: SMB2's largest transfer is 8 MiB, and Windows allows compounds a little more. What a caller
/// passes as `limit` unless it has a reason for another.
pub const DECOMPRESSED_BYTES_MAX: usize = 17 << 20;

/// Bytes of the header without a chain, and of the prefix that both kinds share.
const HEADER_BYTES: usize = 16;
/// Where the payloads of a chain begin: its first payload header lies where the other kind has algorithm, flags and offset.
const CHAIN_START: usize = 8;
/// SMB2_COMPRESSION_FLAG_CHAINED.
const FLAG_CHAINED: u16 = 0x0001;

/// CompressionAlgorithm, [MS-SMB2] 2.2.3.1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// 0: not compressed; in chains only.
    None,
    /// 1.
    Lznt1,
    /// 2: plain LZ77.
    Lz77,
    /// 3: LZ77+Huffman.
    Lz77Huffman,
    /// 4: Pattern_V1; in chains only.
    PatternV1,
    /// 5.
    Lz4,
    /// Any other number.
    Other(u16),
}

impl From<u16> for Algorithm {
    fn from(number: u16) -> Algorithm {
        match number {
            0 => Algorithm::None,
            1 => Algorithm::Lznt1,
            2 => Algorithm::Lz77,
            3 => Algorithm::Lz77Huffman,
            4 => Algorithm::PatternV1,
            5 => Algorithm::Lz4,
            other => Algorithm::Other(other),
        }
    }
}

/// Why a compressed message stays compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compressed {
    /// It does not begin with 0xFC 'S' 'M' 'B', or ends within a header.
    Short,
    /// It says that it has more plain bytes than the caller allows.
    Limit {
        /// Plain bytes, as said.
        bytes: u64,
    },
    /// No such algorithm, or one that may not stand there.
    Unknown(Algorithm),
    /// The bytes are not what this algorithm makes of a message of the length said.
    Broken(Algorithm),
    /// The payloads of a chain give fewer bytes than the header says.
    Size {
        /// Plain bytes, as said.
        said: u32,
        /// Plain bytes that came out.
        got: u32,
    },
}

impl Compressed {
    /// A name for events and counters.
    pub fn name(self) -> &'static str {
        match self {
            Compressed::Short => "compressed_short",
            Compressed::Limit { .. } => "compressed_limit",
            Compressed::Unknown(_) => "compressed_unknown_algorithm",
            Compressed::Broken(_) => "compressed_broken",
            Compressed::Size { .. } => "compressed_wrong_size",
        }
    }
}

impl fmt::Display for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compressed::Short => write!(f, "compression header cut short"),
            Compressed::Limit { bytes } => write!(f, "{bytes} plain bytes are more than allowed"),
            Compressed::Unknown(algorithm) => write!(f, "unexpected compression algorithm {algorithm:?}"),
            Compressed::Broken(algorithm) => write!(f, "broken {algorithm:?} data"),
            Compressed::Size { said, got } => write!(f, "{got} plain bytes instead of {said}"),
        }
    }
}

impl std::error::Error for Compressed {}

/// Whether bytes begin as a compressed message does.
pub fn is_compressed(message: &[u8]) -> bool {
    message.starts_with(&PROTOCOL_ID)
}

/// The plain SMB2 message of a compressed one, which begins at its 0xFC 'S' 'M' 'B' and ends where the transport's message ends. The result
/// has at most `limit` bytes, and exactly those that the header promises.
pub fn decompress_message(transform: &[u8], limit: usize) -> Result<Vec<u8>, Compressed> {
    let head = transform.get(..HEADER_BYTES).ok_or(Compressed::Short)?;
    if !is_compressed(head) {
        return Err(Compressed::Short);
    }
    let mut input = Input::new(transform.get(4..).ok_or(Compressed::Short)?);
    let size = input.u32().ok_or(Compressed::Short)?;
    let algorithm = Algorithm::from(input.u16().ok_or(Compressed::Short)?);
    let flags = input.u16().ok_or(Compressed::Short)?;
    let offset = input.u32().ok_or(Compressed::Short)?;
    if flags & FLAG_CHAINED == 0 {
        let bytes = u64::from(size) + u64::from(offset);
        if bytes > limit as u64 {
            return Err(Compressed::Limit { bytes });
        }
        let plain = input.take(offset as usize).ok_or(Compressed::Short)?;
        let rest = transform.get(HEADER_BYTES + plain.len()..).ok_or(Compressed::Short)?;
        if matches!(algorithm, Algorithm::None | Algorithm::PatternV1) {
            return Err(Compressed::Unknown(algorithm));
        }
        // The whole at once, so that appending does not move it.
        let mut whole = Vec::with_capacity(bytes as usize);
        whole.extend_from_slice(plain);
        segment(algorithm, rest, whole, size as usize)
    } else {
        if size as usize > limit {
            return Err(Compressed::Limit { bytes: u64::from(size) });
        }
        chain(transform.get(CHAIN_START..).ok_or(Compressed::Short)?, size)
    }
}

/// Decompresses one segment of known size behind what is there.
fn segment(algorithm: Algorithm, compressed: &[u8], before: Vec<u8>, size: usize) -> Result<Vec<u8>, Compressed> {
    let mut out = Output::after(before, size);
    let whole = match algorithm {
        Algorithm::Lznt1 => lznt1::decompress(compressed, &mut out),
        Algorithm::Lz77 => lz77::decompress(compressed, &mut out),
        Algorithm::Lz77Huffman => huffman::decompress(compressed, &mut out),
        Algorithm::Lz4 => lz4::decompress(compressed, &mut out),
        Algorithm::PatternV1 => pattern::decompress(compressed, &mut out),
        Algorithm::None => out.bytes(compressed).then_some(()),
        Algorithm::Other(_) => return Err(Compressed::Unknown(algorithm)),
    };
    whole.map(|()| out.into_bytes()).ok_or(Compressed::Broken(algorithm))
}

/// Decompresses a chain of payloads, [MS-SMB2] 3.1.5.3.
fn chain(payloads: &[u8], size: u32) -> Result<Vec<u8>, Compressed> {
    let mut whole = Vec::with_capacity(size as usize);
    let mut input = Input::new(payloads);
    while !input.is_empty() && whole.len() < size as usize {
        let algorithm = Algorithm::from(input.u16().ok_or(Compressed::Short)?);
        let _flags = input.u16().ok_or(Compressed::Short)?;
        let length = input.u32().ok_or(Compressed::Short)?;
        let mut payload = input.take(length as usize).ok_or(Compressed::Short)?;
        let room = size as usize - whole.len();
        let plain = match algorithm {
            Algorithm::None | Algorithm::PatternV1 => room,
            Algorithm::Other(_) => return Err(Compressed::Unknown(algorithm)),
            _ => {
                let (head, rest) = payload.split_first_chunk().ok_or(Compressed::Short)?;
                payload = rest;
                u32::from_le_bytes(*head) as usize
            }
        };
        if plain > room {
            return Err(Compressed::Broken(algorithm));
        }
        whole = segment(algorithm, payload, whole, plain)?;
    }
    if whole.len() != size as usize {
        return Err(Compressed::Size { said: size, got: u32::try_from(whole.len()).unwrap_or(u32::MAX) });
    }
    Ok(whole)
}
