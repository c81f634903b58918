//! IP protocols by name or number, without asking the system.

use crate::wire::protocol_number;
use std::fmt;
use std::str::FromStr;

/// An IP protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

/// A text that names none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown protocol {0:?}: write its number, 0 to 255, or a name like tcp, udp, icmp, icmp6, sctp or gre")]
pub struct ProtocolError(String);

/// The number.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        if let Some(number) = protocol_number(text) {
            return Ok(Protocol(number));
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse().ok().map(Protocol) } else { None }.ok_or_else(|| ProtocolError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [("tcp", 6), ("UDP", 17), ("47", 47), ("0", 0), ("255", 255), ("icmp6", 58)] {
            assert_eq!(text.parse(), Ok(Protocol(number)));
        }
        for text in ["", "256", "-1", "+6", "smb"] {
            assert!(text.parse::<Protocol>().unwrap_err().to_string().contains("tcp, udp"));
        }
    }
}
