//! A Community ID as a selection holds it: the digest, without its base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// A Community ID of version 1: `1:` and the base64 of a SHA-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommunityId(pub [u8; 20]);

/// A text that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no Community ID of version 1: write one like 1:LQU9qZlK+B5F3KDmev6m5PMibrg=")]
pub struct CommunityIdError(String);

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}", STANDARD.encode(self.0))
    }
}

impl FromStr for CommunityId {
    type Err = CommunityIdError;

    fn from_str(text: &str) -> Result<Self, CommunityIdError> {
        text.strip_prefix("1:")
            .and_then(|t| STANDARD.decode(t).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(CommunityId)
            .ok_or_else(|| CommunityIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_others_are_refused() {
        let text = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(text.parse::<CommunityId>().unwrap().to_string(), text);
        for text in [
            "",
            "1:",
            "2:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg",
            "1:AAAA",
        ] {
            assert!(text.parse::<CommunityId>().is_err(), "{text}");
        }
    }
}
