//! Opens calls that NTLM sealed, with the key of the association's own logon.

use super::keys::KeyRing;
use crate::flow::Way;
use crate::identity::logon::Logon;
use crate::identity::tickets::{TicketLimits, Tickets};
use crate::rpc::ntlm_seal::{Sealer, is_shared};
use crate::rpc::{Auth, Unsealer};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a signature of NTLM ([MS-NLMP] 2.2.2.9).
const SIGNATURE_BYTES: usize = 16;

/// What one association's security tokens and secrets open.
pub(super) struct NtlmUnsealer {
    keys: Arc<KeyRing>,
    logon: Logon,
    tickets: Tickets,
    /// One a way, or one for both ([`is_shared`]).
    sealers: Vec<Sealer>,
    /// After a gap the state of the cipher is not known any more.
    lost: [bool; 2],
}

fn side(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

impl NtlmUnsealer {
    pub(super) fn new(keys: Arc<KeyRing>) -> NtlmUnsealer {
        let tickets = Tickets::new(TicketLimits::default());
        NtlmUnsealer { keys, logon: Logon::default(), tickets, sealers: Vec::new(), lost: [false; 2] }
    }

    fn sealer(&mut self, way: Way) -> Option<&mut Sealer> {
        if self.lost[side(way)] {
            return None;
        }
        if self.sealers.is_empty() {
            let (key, flags) = self.keys.of_ntlm(self.logon.ntlm.as_ref()?)?;
            self.sealers.push(Sealer::new(&key, flags, true));
            if !is_shared(flags) {
                self.sealers.push(Sealer::new(&key, flags, false));
            }
        }
        let last = self.sealers.len().saturating_sub(1);
        self.sealers.get_mut(side(way).min(last))
    }
}

impl Unsealer for NtlmUnsealer {
    fn token(&mut self, way: Way, _auth: Auth, token: &[u8]) {
        self.logon.token(way, token, None, &self.tickets);
    }

    fn unseal(&mut self, way: Way, _auth: Auth, pdu: &mut [u8], sealed: Range<usize>, token: Range<usize>) -> bool {
        let Some(signature) = pdu.get(token.clone()).and_then(|t| t.first_chunk::<SIGNATURE_BYTES>()).copied() else {
            return false;
        };
        let Some(sealer) = self.sealer(way) else { return false };
        // The signature is over what stands before it.
        let Some(before) = pdu.get_mut(..token.start) else { return false };
        sealer.unseal_within(before, sealed, &signature)
    }

    fn signed(&mut self, way: Way, _auth: Auth, pdu: &[u8], token: Range<usize>) {
        let Some(signature) = pdu.get(token.clone()).and_then(|t| t.first_chunk::<SIGNATURE_BYTES>()).copied() else { return };
        let Some(before) = pdu.get(..token.start) else { return };
        if let Some(sealer) = self.sealer(way) {
            sealer.check(before, 0..before.len(), &signature);
        }
    }

    fn lost(&mut self, way: Way) {
        self.lost[side(way)] = true;
    }
}
