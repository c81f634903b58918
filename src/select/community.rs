//! A Community ID as a selection holds it: the digest, without its base64.

use crate::wire::{CommunityIdError, format_community_id, parse_community_id};
use std::fmt;
use std::str::FromStr;

/// The digest of a Community ID of version 1. Its text is `1:` and base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommunityId(pub [u8; 20]);

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_community_id(&self.0))
    }
}

impl FromStr for CommunityId {
    type Err = CommunityIdError;

    fn from_str(text: &str) -> Result<Self, CommunityIdError> {
        parse_community_id(text).map(CommunityId)
    }
}
