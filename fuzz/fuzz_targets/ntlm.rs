//! Any bytes, as security tokens: several in a row, each behind a byte (bit 0: the server's; bit 1: an answer with more to come; bit 2: a
//! Kerberos message of its own) and its length in two bytes, little-endian.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taploop::flow::Way;
use taploop::identity::kerberos_stream::StreamLimits;
use taploop::identity::ntlm::NtlmBody;
use taploop::identity::tickets::TicketLimits;
use taploop::identity::{KerberosMessage, KerberosStream, Logon, NtlmMessage, SecurityToken, Tickets};
use taploop::time::Timestamp;

const MORE_PROCESSING_REQUIRED: u32 = 0xC000_0016;

fuzz_target!(|data: &[u8]| {
    let mut tickets = Tickets::new(TicketLimits::default());
    let mut logon = Logon::default();
    let mut stream = KerberosStream::new(StreamLimits::default());
    let mut rest = data;
    while let [how, low, high, tail @ ..] = rest {
        let (token, next) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()));
        rest = next;
        if how & 4 != 0 {
            if let Some(message) = KerberosMessage::parse(token) {
                tickets.learn(&message, Timestamp::from_nanos(1));
            }
            stream.push(token, |message| drop(KerberosMessage::parse(message)));
            if how & 1 != 0 {
                stream.lost();
            }
            continue;
        }
        assert_eq!(SecurityToken::parse(token), SecurityToken::parse(token));
        if let Some(NtlmMessage { body: NtlmBody::Authenticate(said), .. }) = NtlmMessage::parse(token) {
            let _ = said.account();
        }
        let way = if how & 1 == 0 { Way::ToServer } else { Way::ToClient };
        logon.token(way, token, (how & 2 != 0).then_some(MORE_PROCESSING_REQUIRED), &tickets);
        logon.find_holder(&tickets);
        let _ = logon.account();
    }
});
