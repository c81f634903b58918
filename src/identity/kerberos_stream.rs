//! Kerberos over TCP: records of a 4-byte length and a message (RFC 4120 7.2.2), out of one direction's bytes as they come.

use super::kerberos;

/// What one direction may hold.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes of the longest record that is put together; longer ones are passed over. Default 256 KiB: a ticket with a full PAC takes up to 64 KiB.
    pub record_bytes_max: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits { record_bytes_max: 256 << 10 }
    }
}

/// One direction of a connection. After a gap, or bytes that are no record, it finds its footing at the next record that begins a piece of bytes.
#[derive(Debug, Default)]
pub struct KerberosStream {
    limits: StreamLimits,
    held: Vec<u8>,
    /// Bytes of a record over the limit that are still to come.
    pass: usize,
    records: u64,
    passed_bytes: u64,
}

impl KerberosStream {
    /// A direction from which nothing has come.
    pub fn new(limits: StreamLimits) -> Self {
        KerberosStream { limits, ..KerberosStream::default() }
    }

    /// Takes the next bytes of the stream and hands each message that is complete to `take`, without its length.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let skip = self.pass.min(bytes.len());
        self.pass -= skip;
        self.passed_bytes += skip as u64;
        let bytes = bytes.get(skip..).unwrap_or_default();
        if self.held.is_empty() {
            let used = self.records_in(bytes, &mut take);
            self.held.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let used = self.records_in(&held, &mut take);
            held.drain(..used.min(held.len()));
            self.held = held;
        }
    }

    /// Bytes of the stream are missing here.
    pub fn lost(&mut self) {
        self.passed_bytes += self.held.len() as u64;
        self.held.clear();
        self.pass = 0;
    }

    /// Records that were read, and bytes that were none or too long.
    pub fn counts(&self) -> (u64, u64) {
        (self.records, self.passed_bytes)
    }

    /// Reads records from the beginning of these bytes; how many bytes they and what was passed over took. What is left is less than a record.
    fn records_in(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((head, body)) = rest.split_first_chunk::<4>() else { return at };
            // The highest bit is reserved (RFC 4120 7.2.2).
            let length = usize::try_from(u32::from_be_bytes(*head) & 0x7fff_ffff).unwrap_or(usize::MAX);
            let plausible = match body.len() {
                0 => length >= 2,
                1..=11 => length >= 2 && body.first().is_some_and(|t| matches!(t, 0x6a..=0x6f | 0x7e)),
                _ => kerberos::looks_cut(body),
            };
            if !plausible {
                self.passed_bytes += rest.len() as u64;
                return bytes.len();
            }
            if length > self.limits.record_bytes_max {
                self.passed_bytes += rest.len() as u64;
                self.pass = (length + 4).saturating_sub(rest.len());
                return bytes.len();
            }
            let Some(message) = body.get(..length) else { return at };
            self.records += 1;
            take(message);
            at += 4 + length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kerberos::tests::{ap_req, kdc_req, krb_error, tgs_rep};
    use super::*;
    use proptest::prelude::*;

    fn record(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    fn all() -> (Vec<Vec<u8>>, Vec<u8>) {
        let messages = vec![kdc_req(Some("a"), None), krb_error(25, None), tgs_rep("a", "R", &[7; 300]), ap_req(b"t")];
        let stream = messages.iter().flat_map(|m| record(m)).collect();
        (messages, stream)
    }

    fn read(stream: &mut KerberosStream, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        stream.push(bytes, |m| out.push(m.to_vec()));
        out
    }

    #[test]
    fn a_gap_costs_the_record_it_is_in() {
        let (messages, bytes) = all();
        let mut stream = KerberosStream::default();
        assert_eq!(read(&mut stream, &bytes[..messages[0].len() + 14]), messages[..1]);
        stream.lost();
        assert_eq!(read(&mut stream, &record(&messages[2])), messages[2..3]);
    }

    #[test]
    fn a_record_over_the_limit_is_passed_over() {
        let mut stream = KerberosStream::new(StreamLimits { record_bytes_max: 100 });
        let (messages, bytes) = all();
        let mut got = Vec::new();
        for piece in bytes.chunks(7) {
            got.extend(read(&mut stream, piece));
            assert!(stream.held.len() <= 100 + 4 + 7);
        }
        let fits: Vec<_> = messages.into_iter().filter(|m| m.len() <= 100).collect();
        assert!(!fits.is_empty() && got == fits);
    }

    #[test]
    fn what_is_no_record_is_not_held() {
        let mut stream = KerberosStream::default();
        assert!(read(&mut stream, b"GET / HTTP/1.1\r\nHost: example\r\n\r\n").is_empty());
        assert!(stream.held.is_empty());
        assert_eq!(stream.counts().1, 33);
    }

    proptest! {
        #[test]
        fn however_it_is_cut(cuts in proptest::collection::vec(1usize..60, 1..200)) {
            let (messages, bytes) = all();
            let mut stream = KerberosStream::default();
            let (mut rest, mut got, mut turn) = (&bytes[..], Vec::new(), 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                got.extend(read(&mut stream, piece));
                (rest, turn) = (after, turn + 1);
            }
            prop_assert_eq!(got, messages);
        }

        #[test]
        fn any_bytes(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..40)) {
            let mut stream = KerberosStream::default();
            for piece in pieces {
                read(&mut stream, &piece);
            }
        }
    }
}
