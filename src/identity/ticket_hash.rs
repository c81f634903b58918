//! What tells one ticket from another.

use sha2::{Digest, Sha256};

/// SHA-256 of a ticket's cipher text. Prints in hex, as Zeek's `auth_ticket_sha256` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TicketHash(pub [u8; 32]);

impl TicketHash {
    /// The hash of this cipher text.
    pub fn of(cipher: &[u8]) -> Self {
        TicketHash(Sha256::digest(cipher).into())
    }
}

impl std::fmt::Display for TicketHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256() {
        // FIPS 180-4, the hash of "abc".
        assert_eq!(TicketHash::of(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
