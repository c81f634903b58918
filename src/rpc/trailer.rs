//! The verification trailer that clients put behind a request's stub ([MS-RPCE] 2.2.2.13).

use super::pdu::Syntax;
use super::uuid::Uuid;

/// What it begins with.
const SIGNATURE: [u8; 8] = [0x8a, 0xe3, 0x13, 0x71, 0x02, 0xf4, 0x36, 0x71];

/// Bytes at a stub's end that are searched: a trailer has three commands of at most 44 bytes.
const TRAILER_BYTES_MAX: usize = 8 + 3 * 44;

/// A trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trailer {
    /// Where in the stub it begins.
    pub(super) start: usize,
    /// The interface and transfer syntax that the client names in it.
    pub(super) target: Option<(Syntax, Syntax)>,
}

/// The trailer at a stub's end: its signature at a multiple of four bytes, and commands after it that end exactly where the stub does
/// (padding of less than 16 bytes aside). Values are little-endian.
pub(super) fn find(stub: &[u8]) -> Option<Trailer> {
    let first = stub.len().saturating_sub(TRAILER_BYTES_MAX).next_multiple_of(4);
    (first..stub.len()).step_by(4).find_map(|start| {
        let commands = stub.get(start..)?.strip_prefix(&SIGNATURE)?;
        Some(Trailer { start, target: target(commands)? })
    })
}

/// The interface and syntax among the commands; `None` where these are no commands.
fn target(mut commands: &[u8]) -> Option<Option<(Syntax, Syntax)>> {
    let mut target = None;
    loop {
        let (head, rest) = commands.split_first_chunk::<4>()?;
        let command = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        if command & 0x3fff == 2 {
            target = syntax(value).zip(value.get(20..).and_then(syntax));
        }
        if command & 0x4000 != 0 {
            return (rest.len() < 16).then_some(target);
        }
        commands = rest;
    }
}

fn syntax(value: &[u8]) -> Option<Syntax> {
    let (uuid, rest) = value.split_first_chunk::<16>()?;
    let version: &[u8; 4] = rest.first_chunk()?;
    Some(Syntax {
        uuid: Uuid::from_wire(uuid, true),
        version: u16::from_le_bytes([version[0], version[1]]),
        minor_version: u16::from_le_bytes([version[2], version[3]]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::pdu::NDR64;
    use super::*;

    fn trailer() -> Vec<u8> {
        let mut stub = vec![1, 2, 3, 4];
        stub.extend(SIGNATURE);
        stub.extend([1, 0, 4, 0, 1, 0, 0, 0]);
        stub.extend([2, 0x40, 40, 0]);
        stub.extend([0x82, 0x06, 0xf7, 0x1f, 0x51, 0x0a, 0xe8, 0x30, 0x07, 0x6d, 0x74, 0x0b, 0xe8, 0xce, 0xe9, 0x8b, 1, 0, 0, 0]);
        stub.extend([0x33, 0x05, 0x71, 0x71, 0xba, 0xbe, 0x37, 0x49, 0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36, 1, 0, 0, 0]);
        stub
    }

    #[test]
    fn the_interface_is_read() {
        let found = find(&trailer()).expect("a trailer");
        assert_eq!(found.start, 4);
        let (interface, transfer) = found.target.expect("a target");
        assert_eq!(interface.uuid.to_string(), "1ff70682-0a51-30e8-076d-740be8cee98b");
        assert_eq!((transfer.uuid, transfer.version), (NDR64, 1));
    }

    #[test]
    fn a_cut_one_is_none() {
        let whole = trailer();
        for n in 0..whole.len() {
            assert_eq!(find(&whole[..n]), None, "{n}");
        }
        let mut followed = whole;
        followed.extend([0; 16]);
        assert_eq!(find(&followed), None);
    }
}
