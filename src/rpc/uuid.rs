//! UUIDs as DCE/RPC carries them.

use std::fmt;

/// A UUID, its bytes in the order in which it is written out (RFC 9562, 4: big-endian fields).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Reads the text form, `1ff70682-0a51-30e8-076d-740be8cee98b`, in either case. `None` where it is anything else.
    pub const fn parse(text: &str) -> Option<Uuid> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let (mut at, mut digits) = (0, 0);
        while at < 36 {
            let c = text[at];
            if at == 8 || at == 13 || at == 18 || at == 23 {
                if c != b'-' {
                    return None;
                }
            } else {
                let digit = match c {
                    b'0'..=b'9' => c - b'0',
                    b'a'..=b'f' => c - b'a' + 10,
                    b'A'..=b'F' => c - b'A' + 10,
                    _ => return None,
                };
                bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
                digits += 1;
            }
            at += 1;
        }
        Some(Uuid(bytes))
    }

    /// The UUID of a text that is part of this program.
    pub(super) const fn known(text: &str) -> Uuid {
        match Uuid::parse(text) {
            Some(uuid) => uuid,
            None => panic!("a UUID in the source is none"),
        }
    }

    /// From its 16 bytes on the wire, whose first three fields stand in the sender's byte order (C706, 14.3.1 and A.1).
    pub fn from_wire(bytes: &[u8; 16], little_endian: bool) -> Uuid {
        let mut b = *bytes;
        if little_endian {
            b[0..4].reverse();
            b[4..6].reverse();
            b[6..8].reverse();
        }
        Uuid(b)
    }

    /// All its bits are zero.
    pub fn is_nil(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire() {
        let text = "8a885d04-1ceb-11c9-9fe8-08002b104860";
        let uuid = Uuid::known(text);
        assert_eq!(uuid.to_string(), text);
        let wire = [0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 8, 0, 0x2b, 0x10, 0x48, 0x60];
        assert_eq!(Uuid::from_wire(&wire, true), uuid);
        assert_eq!(Uuid::from_wire(&uuid.0, false), uuid);
        for wrong in ["", "8a885d04", "8a885d04-1ceb-11c9-9fe8-08002b10486g", "8a885d04x1ceb-11c9-9fe8-08002b104860"] {
            assert_eq!(Uuid::parse(wrong), None);
        }
    }
}
