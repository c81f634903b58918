//! Where a message begins in bytes of which it is not known: after a late start or a gap.
//!
//! Files may be full of SMB themselves (a capture that is copied), so that a magic number is no proof. Believed is a header of a session
//! that the connection is known to carry; a message that begins and ends where packets do; and else one whose length lands on a header
//! whose length lands on another.

use super::netbios::{PREFIX_LEN, prefix};
use super::smb2::{Transform, header_session};

/// What is known of the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Session ids of SMB2 that it carried.
    pub sessions: Vec<u64>,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Footing {
    /// A message begins there.
    At(usize),
    /// Nothing yet: what lies before is not needed any more.
    Wait(usize),
}

/// Bytes of a prefix and the longest header that is looked at.
const LOOK_LEN: usize = PREFIX_LEN + 64;

/// What bytes at a place are.
#[derive(PartialEq, Eq, Debug)]
enum Looks {
    /// A message's beginning: of a session that is known, or not; and its length with its prefix.
    Message { known: bool, len: usize },
    /// Not enough is there to tell.
    TooShort,
    /// No message's.
    No,
}

/// Looks for the first beginning from a place on. `ends` are the places where packets end.
pub(super) fn find(held: &[u8], from: usize, ends: &[usize], known: &Known) -> Footing {
    let is_edge = |at: usize| at == 0 || ends.binary_search(&at).is_ok();
    let mut at = from;
    while let Some(i) = next_candidate(held, at) {
        at = i + 1;
        let len = match looks(held, i, known) {
            Looks::No => continue,
            Looks::TooShort => return Footing::Wait(i),
            Looks::Message { known: true, .. } => return Footing::At(i),
            Looks::Message { known: false, len } => len,
        };
        let next = i.saturating_add(len);
        if is_edge(i) && ends.binary_search(&next).is_ok() {
            return Footing::At(i);
        }
        match lands(held, next, known) {
            // Beginning at a packet's edge, one more header is proof enough.
            Some((true, _)) if is_edge(i) => return Footing::At(i),
            Some((true, after)) => match lands(held, after, known) {
                Some((true, _)) => return Footing::At(i),
                Some((false, _)) => {}
                None => return Footing::Wait(i),
            },
            Some((false, _)) => {}
            None => return Footing::Wait(i),
        }
    }
    Footing::Wait(held.len().saturating_sub(PREFIX_LEN + 3).max(from))
}

/// Whether the bytes begin with what looks like a message.
pub(super) fn is_beginning(held: &[u8], known: &Known) -> bool {
    matches!(looks(held, 0, known), Looks::Message { .. })
}

/// The first place from `at` on where a prefix and a magic number may stand.
fn next_candidate(held: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = held.get(at..)?;
        // The magic's last three bytes, five after the prefix began.
        let found = memchr::memmem::find(rest.get(PREFIX_LEN + 1..)?, b"SMB")?;
        let i = at + found;
        if held.get(i) == Some(&0) && matches!(held.get(i + PREFIX_LEN), Some(0xfc..=0xff)) {
            return Some(i);
        }
        at = i + 1;
    }
}

fn looks(held: &[u8], at: usize, known: &Known) -> Looks {
    let rest = held.get(at..).unwrap_or_default();
    let Some((kind, length)) = prefix(rest) else { return Looks::TooShort };
    if kind != 0 {
        return Looks::No;
    }
    let (length, body) = (length as usize, &rest[PREFIX_LEN..]);
    let message = |known| Looks::Message { known, len: PREFIX_LEN + length };
    let Some(magic) = body.first_chunk::<4>() else { return Looks::TooShort };
    if magic[1..] != *b"SMB" {
        return Looks::No;
    }
    let is_short = rest.len() < LOOK_LEN;
    match magic[0] {
        0xfe if length < 64 => Looks::No,
        0xfe if is_short => Looks::TooShort,
        0xfe => header_session(body).map_or(Looks::No, |session| message(session != 0 && known.sessions.contains(&session))),
        0xfd if length < Transform::LEN => Looks::No,
        0xfd if is_short => Looks::TooShort,
        0xfd => Transform::parse(body).map_or(Looks::No, |t| message(known.sessions.contains(&t.session_id))),
        0xfc if length < 16 => Looks::No,
        0xfc if body.len() < 16 => Looks::TooShort,
        0xfc => message(false),
        // SMB1 (MS-CIFS 2.2.3.1): the header has 32 bytes, then come the words' count and the bytes' count.
        0xff if length < 35 => Looks::No,
        0xff if body.len() < 32 => Looks::TooShort,
        0xff => message(false),
        _ => Looks::No,
    }
}

/// Whether a message begins at a place, and where it ends; `None` where that is not known yet.
fn lands(held: &[u8], at: usize, known: &Known) -> Option<(bool, usize)> {
    let rest = held.get(at..).unwrap_or_default();
    if rest.first_chunk::<PREFIX_LEN>() == Some(&[0x85, 0, 0, 0]) {
        return Some((true, at + PREFIX_LEN));
    }
    match looks(held, at, known) {
        Looks::Message { len, .. } => Some((true, at.saturating_add(len))),
        Looks::TooShort => None,
        Looks::No => Some((false, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(session: u64, len: usize) -> Vec<u8> {
        let mut m = vec![0, 0, (len >> 8) as u8, len as u8];
        m.extend(b"\xfeSMB\x40\0");
        m.resize(PREFIX_LEN + 40, 0);
        m.extend(session.to_le_bytes());
        m.resize(PREFIX_LEN + len, 7);
        m
    }

    #[test]
    fn a_known_session_is_believed_at_once() {
        let known = Known { sessions: vec![9] };
        let bytes = [vec![1, 2, 3], message(9, 100)].concat();
        assert_eq!(find(&bytes[..80], 0, &[80], &known), Footing::At(3));
    }

    #[test]
    fn a_message_within_a_packet_must_land_twice() {
        let known = Known::default();
        let three = [vec![1, 2, 3], message(9, 100), message(9, 80), message(9, 70)].concat();
        assert_eq!(find(&three, 0, &[three.len()], &known), Footing::At(3));
        let two = [vec![1, 2, 3], message(9, 100), message(9, 80)].concat();
        assert_eq!(find(&two, 0, &[two.len()], &known), Footing::Wait(3));
        // Two messages of a capture that is copied, and then the next packet's header.
        let copied = [two, vec![5; 200]].concat();
        assert_eq!(find(&copied, 0, &[copied.len()], &known), Footing::Wait(copied.len() - 7));
    }

    #[test]
    fn one_that_fills_packets_is_believed() {
        let bytes = message(9, 100);
        assert_eq!(find(&bytes, 0, &[50, bytes.len()], &Known::default()), Footing::At(0));
        assert_eq!(find(&bytes[..90], 0, &[50, 90], &Known::default()), Footing::Wait(0));
        for len in 0..bytes.len() {
            assert!(matches!(find(&bytes[..len], 0, &[len], &Known::default()), Footing::Wait(_)), "{len}");
        }
    }
}
