//! IP protocols by name or number, without asking the system.

use std::fmt;
use std::str::FromStr;

/// An IP protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

/// A text that names none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown protocol {0:?}: write its number, 0 to 255, or one of {names}", names = names())]
pub struct ProtocolError(String);

/// Names with their IANA numbers; several may share one.
const NAMES: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

fn names() -> String {
    NAMES.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// The number.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        if let Some(&(_, number)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
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
