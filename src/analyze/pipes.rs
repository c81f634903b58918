//! Pipes: DCE/RPC where they speak it, else both directions' bytes as a stream.

use super::keys::KeyRing;
use super::rpc_events::RpcLogon;
use super::seal::NtlmUnsealer;
use crate::flow::{PacketRef, Way};
use crate::rpc::{Association, Limits, RpcEvent, looks_like_rpc};
use crate::time::Timestamp;
use std::sync::Arc;

/// Bytes of each direction of a stream that are kept to be shown.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Bytes that all pipes hold: texts, PDUs that are not complete, calls that wait. 48 MiB: a fifth of an analysis' memory, and hundreds of
/// pipes that are busy at once. Beyond it streams keep no more text, and what waits in an association is told as it is.
pub(super) const HELD_BYTES_MAX: usize = 48 << 20;

/// Bytes that an association may hold beyond that. 4 KiB: most calls, so that pipes that hold much are those that pay for it.
const ASSOCIATION_BYTES: usize = 4 << 10;

/// What went over one pipe.
pub(super) struct Pipe {
    speaks: Speaks,
    pub logon: RpcLogon,
    /// The secondary address that a bind was answered with.
    pub address: Option<String>,
    pub began: Timestamp,
    pub last: Timestamp,
    /// Bytes to the server, and to the client.
    pub bytes: [u64; 2],
}

enum Speaks {
    /// Nothing came yet.
    Nothing,
    Rpc(Box<Association>),
    /// The first bytes of each direction.
    Stream([Vec<u8>; 2]),
}

fn side(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

/// An association that opens what the keys open.
pub(super) fn association(keys: &Arc<KeyRing>, reveal_passwords: bool) -> Association {
    let mut made = Association::new(Limits { reveal_passwords, ..Limits::default() });
    made.set_unsealer(Box::new(NtlmUnsealer::new(keys.clone())));
    made
}

impl Pipe {
    pub(super) fn new(at: PacketRef) -> Pipe {
        Pipe { speaks: Speaks::Nothing, logon: RpcLogon::default(), address: None, began: at.time, last: at.time, bytes: [0; 2] }
    }

    /// Bytes held.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.speaks {
            Speaks::Nothing => 0,
            Speaks::Rpc(association) => association.held_bytes(),
            Speaks::Stream([to_server, to_client]) => to_server.capacity() + to_client.capacity(),
        }
    }

    /// Takes the next bytes of a direction. `room` is how many more may be held.
    pub(super) fn push(
        &mut self,
        way: Way,
        bytes: &[u8],
        at: PacketRef,
        room: usize,
        make: impl Fn() -> Association,
        out: &mut Vec<RpcEvent>,
    ) {
        if bytes.is_empty() {
            return;
        }
        self.last = self.last.max(at.time);
        self.bytes[side(way)] += bytes.len() as u64;
        if matches!(self.speaks, Speaks::Nothing) {
            self.speaks = if looks_like_rpc(bytes) { Speaks::Rpc(Box::new(make())) } else { Speaks::Stream(Default::default()) };
        }
        match &mut self.speaks {
            Speaks::Nothing => {}
            Speaks::Rpc(association) => {
                association.push(way, bytes, at, out);
                if association.held_bytes() > room.max(ASSOCIATION_BYTES) {
                    association.end(out);
                    **association = make();
                }
            }
            Speaks::Stream(texts) => {
                let text = &mut texts[side(way)];
                let more = bytes.len().min(TEXT_BYTES_MAX.saturating_sub(text.len())).min(room);
                text.reserve_exact(more);
                text.extend_from_slice(&bytes[..more]);
            }
        }
        for told in out.iter() {
            if let RpcEvent::Bound(bound) = told
                && let Some(address) = bound.secondary_address.as_ref().filter(|a| !a.is_empty())
            {
                self.address = Some(address.clone());
            }
        }
    }

    /// Bytes of a direction were lost.
    pub(super) fn lost(&mut self, way: Way, at: PacketRef, out: &mut Vec<RpcEvent>) {
        if let Speaks::Rpc(association) = &mut self.speaks {
            association.lost(way, at, out);
        }
    }

    /// It is closed: calls that wait get no answer. Gives the bytes of what was no RPC.
    pub(super) fn end(&mut self, out: &mut Vec<RpcEvent>) -> Option<[Vec<u8>; 2]> {
        match std::mem::replace(&mut self.speaks, Speaks::Nothing) {
            Speaks::Nothing => None,
            Speaks::Rpc(mut association) => {
                association.end(out);
                None
            }
            Speaks::Stream(texts) => Some(texts),
        }
    }
}

/// Zeros in a row that separate texts: records of fixed size are filled up with them, as RemCom's command is.
const ZEROS_BETWEEN: usize = 4;

/// Bytes as text; between texts of their own U+FFFD stands for the zeros.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|b| *b != 0) {
        rest = &rest[start..];
        let end = rest.windows(ZEROS_BETWEEN).position(|w| w.iter().all(|b| *b == 0)).unwrap_or(rest.len());
        parts.push(decoded(&rest[..end]));
        rest = &rest[end..];
    }
    Some(parts.join("\u{fffd}")).filter(|t| !t.is_empty())
}

/// UTF-16 where every second byte of much of it is zero, else UTF-8 with what is not replaced.
fn decoded(bytes: &[u8]) -> String {
    let zeros = bytes.iter().skip(1).step_by(2).filter(|b| **b == 0).count();
    let text = if bytes.len() >= 4 && zeros * 10 >= bytes.len() * 4 {
        // The last letter's zero is one of those that end the text.
        let units = bytes.chunks(2).map(|b| u16::from_le_bytes([b[0], b.get(1).copied().unwrap_or(0)]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    };
    text.trim_end_matches('\0').replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make() -> Association {
        Association::new(Limits::default())
    }

    #[test]
    fn texts_of_either_kind_are_read_between_zeros() {
        let wide = |t: &str| t.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(text(b""), None);
        assert_eq!(text(&[0; 40]), None);
        assert_eq!(text(b"dir\r\n").as_deref(), Some("dir\r\n"));
        assert_eq!(text(&wide("dir \u{e9}\r\n")).as_deref(), Some("dir \u{e9}\r\n"));
        let mut record = b"cmd.exe".to_vec();
        record.resize(0x1000, 0);
        record.extend(wide("C:\\temp"));
        record.extend([0; 500]);
        record.extend([0x20, 0, 0, 0]);
        assert_eq!(text(&record).as_deref(), Some("cmd.exe\u{fffd}C:\\temp\u{fffd} "));
    }

    #[test]
    fn no_pipe_holds_more_than_there_is_room_for() {
        let (at, mut out) = (PacketRef::default(), Vec::new());
        let mut pipe = Pipe::new(at);
        pipe.push(Way::ToServer, b"hello", at, 3, make, &mut out);
        pipe.push(Way::ToClient, b"world", at, 0, make, &mut out);
        assert_eq!((pipe.bytes, pipe.end(&mut out)), ([5, 5], Some([b"hel".to_vec(), Vec::new()])));
        // A fragment that says to be long, and does not end.
        let mut begun = b"\x05\x00\x00\x01\x10\x00\x00\x00\x00\xf0\x00\x00\x01\x00\x00\x00".to_vec();
        begun.resize(0xe000, 0);
        for (room, most) in [(HELD_BYTES_MAX, 256 << 10), (0, ASSOCIATION_BYTES)] {
            let mut pipe = Pipe::new(at);
            pipe.push(Way::ToServer, &begun, at, room, make, &mut out);
            assert!(matches!(pipe.speaks, Speaks::Rpc(_)) && pipe.held_bytes() <= most);
            assert_eq!(pipe.held_bytes() > ASSOCIATION_BYTES, room > 0);
        }
    }
}
