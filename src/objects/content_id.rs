//! How contents are named: whole ones by their SHA-256, others by what was seen of them and where.

use sha2::{Digest as _, Sha256};

/// What a partial content's id begins with.
pub const PARTIAL_PREFIX: &str = "p-";

/// The id of an incomplete content, in hex and without [`PARTIAL_PREFIX`].
///
/// The SHA-256 of: the 26 bytes `taploop partial content 1\n`; the known size, or `u64::MAX` where it is not known; the number of seen ranges;
/// of each range in order its first offset and the offset after it; the 32 bytes of the SHA-256 of the seen bytes in the order of their
/// offsets. Numbers are 8 bytes, little-endian. Ranges do not touch each other.
pub fn partial_id(size: Option<u64>, seen: &[(u64, u64)], sha256_seen: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"taploop partial content 1\n");
    hash.update(size.unwrap_or(u64::MAX).to_le_bytes());
    hash.update((seen.len() as u64).to_le_bytes());
    for (from, to) in seen {
        hash.update(from.to_le_bytes());
        hash.update(to.to_le_bytes());
    }
    hash.update(sha256_seen);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value is that of Python's hashlib over the documented bytes.
    #[test]
    fn the_partial_id_is_as_documented() {
        let seen: [u8; 32] = Sha256::digest(b"abc").into();
        assert_eq!(
            partial_id(Some(10), &[(0, 2), (5, 6)], &seen),
            "3b0ed823dc6f93d61bd21610857b9050f06ea0f507a2e8980089dbb5f7cb44f1"
        );
        assert_eq!(
            partial_id(None, &[], &Sha256::digest(b"").into()),
            "df2f6c213cc3b42eb9b39ce617e5866993e23d3894d38b67210b65817cc0bead"
        );
    }
}
