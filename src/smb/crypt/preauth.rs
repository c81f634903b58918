//! The preauthentication integrity hash of SMB 3.1.1, [MS-SMB2] 3.1.4.4.1.

use super::kdf::PreauthHash;
use sha2::{Digest, Sha512};

/// A running hash over whole messages, each from its 0xFE 'S' 'M' 'B' on, as they were on the wire.
///
/// A connection has one over its NEGOTIATE request and answer. Each session begins with a copy of it and adds its own SESSION_SETUP requests
/// and answers; the answer with STATUS_SUCCESS does not count. A session bound to a further connection begins with that connection's hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preauth {
    hash: PreauthHash,
}

impl Preauth {
    /// Before any message.
    pub fn new() -> Preauth {
        Preauth { hash: [0; 64] }
    }

    /// Adds a message.
    pub fn add(&mut self, message: &[u8]) {
        self.hash = Sha512::new().chain_update(self.hash).chain_update(message).finalize().into();
    }

    /// The hash over all messages so far.
    pub fn hash(&self) -> &PreauthHash {
        &self.hash
    }
}

impl Default for Preauth {
    fn default() -> Preauth {
        Preauth::new()
    }
}
