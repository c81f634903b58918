//! Opens calls that NTLM sealed, with the key of the association's own logon.

use super::keys::KeyRing;
use crate::flow::Way;
use crate::identity::logon::Logon;
use crate::identity::tickets::{TicketLimits, Tickets};
use crate::rpc::ntlm_seal::Sealer;
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
    sealers: Option<[Sealer; 2]>,
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
        NtlmUnsealer { keys, logon: Logon::default(), tickets, sealers: None, lost: [false; 2] }
    }

    fn sealer(&mut self, way: Way) -> Option<&mut Sealer> {
        if self.lost[side(way)] {
            return None;
        }
        if self.sealers.is_none() {
            let (key, flags) = self.keys.of_ntlm(self.logon.ntlm.as_ref()?)?;
            self.sealers = Some([Sealer::new(&key, flags, true), Sealer::new(&key, flags, false)]);
        }
        self.sealers.as_mut().map(|s| &mut s[side(way)])
    }
}

impl Unsealer for NtlmUnsealer {
    fn token(&mut self, way: Way, _auth: Auth, token: &[u8]) {
        self.logon.token(way, token, None, &self.tickets);
    }

    fn unseal(&mut self, way: Way, _auth: Auth, pdu: &mut [u8], sealed: Range<usize>, token: Range<usize>) -> bool {
        let Some(signature) = pdu.get(token).and_then(|t| t.first_chunk::<SIGNATURE_BYTES>()).copied() else { return false };
        let Some(sealer) = self.sealer(way) else { return false };
        sealer.unseal_within(pdu, sealed, &signature)
    }

    fn signed(&mut self, way: Way, _auth: Auth, pdu: &[u8], token: Range<usize>) {
        let Some(signature) = pdu.get(token.clone()).and_then(|t| t.first_chunk::<SIGNATURE_BYTES>()).copied() else { return };
        let body = 0..token.start.min(pdu.len());
        if let Some(sealer) = self.sealer(way) {
            sealer.check(pdu, body, &signature);
        }
    }

    fn lost(&mut self, way: Way) {
        self.lost[side(way)] = true;
    }
}
