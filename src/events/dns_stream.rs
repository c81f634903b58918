//! DNS over TCP: messages behind 2-byte lengths (RFC 1035 4.2.2), out of one direction's bytes as they come.

/// One direction of a connection. A record is at most 64 KiB, and so is what is held of one.
#[derive(Clone, Debug, Default)]
pub struct DnsStream {
    held: Vec<u8>,
    /// No DNS was found here: the rest is passed over until bytes begin anew.
    off: bool,
}

impl DnsStream {
    /// Takes the next bytes and hands each whole message to `take`, without its length.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        if self.off {
            return;
        }
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((head, body)) = self.held.get(at..).and_then(|rest| rest.split_first_chunk::<2>()) {
            let length = usize::from(u16::from_be_bytes(*head));
            if !plausible(length, body) {
                self.off = true;
                self.held = Vec::new();
                return;
            }
            let Some(message) = body.get(..length) else { break };
            take(message);
            at += 2 + length;
        }
        self.held.drain(..at);
    }

    /// Bytes are missing here: what follows is taken to begin with a length, and given up where it does not look so.
    pub fn lost(&mut self) {
        self.held.clear();
        self.off = false;
    }
}

/// A header (12 bytes) that a message can have: a known operation, and no more entries than fit.
fn plausible(length: usize, body: &[u8]) -> bool {
    let Some(header) = body.first_chunk::<12>() else { return length >= 12 };
    let opcode = header[2] >> 3 & 0xf;
    let entries: usize = header[4..].chunks_exact(2).map(|c| usize::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    // The smallest entry is a question for the root: 5 bytes.
    length >= 12 && opcode <= 6 && entries <= (length - 12) / 5
}

#[cfg(test)]
mod tests {
    use super::super::dns_message::tests::{ask, reply};
    use super::*;
    use proptest::prelude::*;

    fn record(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn what_is_no_dns_is_not_held() {
        let mut stream = DnsStream::default();
        stream.push(b"GET / HTTP/1.1\r\nHost: x\r\n", |_| panic!());
        assert!(stream.off && stream.held.is_empty());
        stream.lost();
        let mut got = 0;
        stream.push(&record(&ask(1, "a", 1)), |_| got += 1);
        assert_eq!(got, 1);
    }

    proptest! {
        #[test]
        fn however_it_is_cut(cuts in proptest::collection::vec(1usize..40, 1..20)) {
            let messages = vec![ask(1, "a.example", 1), reply(1, "a.example", 1, 0, &[(1, vec![1, 2, 3, 4])]), ask(2, "b", 28)];
            let bytes: Vec<u8> = messages.iter().flat_map(|m| record(m)).collect();
            let (mut stream, mut rest, mut got, mut turn) = (DnsStream::default(), &bytes[..], Vec::new(), 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                stream.push(piece, |m| got.push(m.to_vec()));
                (rest, turn) = (after, turn + 1);
            }
            prop_assert_eq!(got, messages);
        }

        #[test]
        fn any_bytes(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..40)) {
            let mut stream = DnsStream::default();
            for piece in pieces {
                stream.push(&piece, |_| {});
            }
        }
    }
}
