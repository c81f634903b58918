//! What opens encrypted PDUs; the keys are known elsewhere.

use super::pdu::Auth;
use crate::flow::Way;
use std::ops::Range;

/// Opens the PDUs of one association that are encrypted at privacy level. It is told of all that moves its key streams, in the order in
/// which each direction sent it.
pub trait Unsealer: Send {
    /// A security token of a bind, alter-context, auth3 or an answer to them: the keys follow from them.
    fn token(&mut self, way: Way, auth: Auth, token: &[u8]);

    /// Decrypts a PDU in place: the bytes in `sealed` (stub and padding), with the signature in `token`. False where it cannot; then the
    /// bytes mean nothing.
    fn unseal(&mut self, way: Way, auth: Auth, pdu: &mut [u8], sealed: Range<usize>, token: Range<usize>) -> bool;

    /// A PDU that is signed and not encrypted: its signature moves the key stream on too ([MS-NLMP] 3.4.4.2).
    fn signed(&mut self, way: Way, auth: Auth, pdu: &[u8], token: Range<usize>) {
        let _ = (way, auth, pdu, token);
    }

    /// PDUs of a direction were lost: its key stream is at an unknown place from here on.
    fn lost(&mut self, way: Way);
}
