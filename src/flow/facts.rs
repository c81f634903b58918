//! What a connection log says of a connection: states, sizes and history, by Zeek's rules (`TCPSessionAdapter.cc`, `TCP_Endpoint.cc`,
//! `scripts/base/protocols/conn/main.zeek`).

// one state machine: the states of both ends decide each other, packet by packet

use super::headers::Flags;
use super::terms::Way;
use crate::time::Timestamp;

/// A SYN or RST that is further than this from what was seen is not trusted with a sequence number.
const TOO_LARGE_JUMP: i64 = 1 << 20;
/// Letters of a history; FIN, SYN and RST with ever new sequence numbers could make it as long as the connection.
const HISTORY_MAX: usize = 64;

/// The state of one end of a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum State {
    #[default]
    Inactive,
    SynSent,
    Partial,
    Established,
    Closed,
    Reset,
}

/// Which letters are in the history that come once only.
mod once {
    pub(super) const SYN: u8 = 1;
    pub(super) const FIN: u8 = 2;
    pub(super) const RST: u8 = 4;
    pub(super) const DATA: u8 = 8;
    pub(super) const ACK: u8 = 16;
    pub(super) const FIN_RST: u8 = 32;
    pub(super) const MULTI: u8 = 64;
}

/// A letter that comes again at every tenth power of its count.
#[derive(Clone, Copy, Default)]
struct Scaled {
    count: u64,
}

impl Scaled {
    fn hit(&mut self) -> bool {
        self.count += 1;
        let mut power = self.count;
        while power.is_multiple_of(10) {
            power /= 10;
        }
        power == 1
    }
}

/// One end.
#[derive(Clone, Copy, Default)]
pub(super) struct EndFacts {
    pub state: State,
    before: State,
    pub packets: u64,
    pub ip_bytes: u64,
    /// Payload of UDP and ICMP.
    pub payload: u64,
    /// The sequence number that counts as 0: the SYN's.
    start: u32,
    /// One after the last sequence number sent, from `start`.
    last: i64,
    /// The highest acknowledgement of it, from `start`.
    acked: i64,
    fins: u32,
    closed: bool,
    seen: u8,
    last_syn: i64,
    last_fin: i64,
    last_rst: i64,
    retransmissions: Scaled,
    zero_windows: Scaled,
    gaps: Scaled,
}

impl EndFacts {
    fn begin(&mut self, start: u32, last: u32) {
        self.start = start;
        self.acked = 0;
        self.last = i64::from(last.wrapping_sub(start) as i32);
    }

    fn set(&mut self, state: State) {
        if self.state != state {
            self.before = self.state;
            self.state = state;
        }
    }

    /// The sequence number's distance from `start`, where it is nearest to `near`.
    fn relative(&self, sequence: u32, near: i64) -> i64 {
        let near_sequence = self.start.wrapping_add(near as u32);
        near + i64::from(sequence.wrapping_sub(near_sequence) as i32)
    }

    /// Payload bytes by sequence numbers.
    fn size(&self, peer: State) -> u64 {
        // A half-open connection was found and aborted.
        if self.before == State::SynSent && self.state == State::Reset && peer == State::Inactive && self.acked > 0 {
            return 0;
        }
        let octets = u64::try_from(self.last.max(self.acked)).unwrap_or(0).saturating_sub(1);
        if self.fins > 0 { octets.saturating_sub(1) } else { octets }
    }

    /// Established, or closed after that.
    fn is_clean(&self) -> bool {
        self.state == State::Established || self.state == State::Closed && self.before == State::Established
    }
}

/// A TCP segment, as far as it decides states.
pub(super) struct Seen {
    pub flags: Flags,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
    pub length: usize,
    pub time: Timestamp,
}

/// The facts of a connection.
#[derive(Default)]
pub(super) struct Facts {
    pub client: EndFacts,
    pub server: EndFacts,
    pub history: String,
    /// The last packet that counts for the duration: none after both ends have closed.
    pub last: Timestamp,
    pub missed_bytes: u64,
    /// Payload went on after a reset, which so was none.
    pub goes_on: bool,
}

impl Facts {
    /// The connection's roles were not those of its first packet.
    pub(super) fn flipped(&mut self) {
        self.history.push('^');
    }

    fn add(&mut self, way: Way, letter: char) {
        if self.history.len() < HISTORY_MAX {
            self.history.push(if way == Way::ToServer { letter } else { letter.to_ascii_lowercase() });
        }
    }

    /// Adds a letter that comes once only; whether it was there.
    fn add_once(&mut self, way: Way, bit: u8, letter: char) -> bool {
        let end = self.end(way);
        let was_there = end.seen & bit != 0;
        end.seen |= bit;
        if !was_there {
            self.add(way, letter);
        }
        was_there
    }

    pub(super) fn end(&mut self, way: Way) -> &mut EndFacts {
        match way {
            Way::ToServer => &mut self.client,
            Way::ToClient => &mut self.server,
        }
    }

    /// Counts a packet that `way` brings.
    #[inline]
    pub(super) fn count(&mut self, way: Way, ip_bytes: u64) {
        let end = self.end(way);
        end.packets += 1;
        end.ip_bytes += ip_bytes;
    }

    /// A packet of UDP or ICMP, with its payload's length; UDP has a history.
    pub(super) fn datagram(&mut self, way: Way, payload: u64, time: Timestamp, history: bool) {
        self.last = self.last.max(time);
        let end = self.end(way);
        end.payload += payload;
        end.state = State::Established;
        if history {
            self.add_once(way, once::DATA, 'D');
        }
    }

    /// A gap in what `way` brings.
    pub(super) fn gap(&mut self, way: Way, length: u64) {
        // Elsewhere sequence numbers of resets, and what was before a late start, look like gaps.
        if self.client.is_clean() && self.server.is_clean() {
            self.missed_bytes += length;
            if self.end(way).gaps.hit() {
                self.add(way, 'G');
            }
        }
    }

    /// Takes a segment in.
    pub(super) fn segment(&mut self, way: Way, s: &Seen) {
        let flags = s.flags;
        // What it takes of the sequence space: of a reset's payload nothing.
        let length = u32::from(flags.syn()) + u32::from(flags.fin()) + if flags.rst() { 0 } else { s.length as u32 };
        let after = s.sequence.wrapping_add(length);
        self.goes_on |= self.is_reset() && s.length > 0 && !flags.rst();
        self.begin(way, s, after);
        let end = self.end(way);
        let relative = end.relative(s.sequence, end.last);
        self.letters(way, s, relative);
        self.window(way, s);
        if !self.client.closed || !self.server.closed {
            self.last = self.last.max(s.time);
        }
        if flags.fin() {
            self.end(way).fins += 1;
        }
        if flags.ack() {
            self.acknowledge(way, s);
        }
        self.advance(way, s, after);
        self.change(way, s);
    }

    fn begin(&mut self, way: Way, s: &Seen, after: u32) {
        let end = self.end(way);
        match end.state {
            State::Inactive if s.flags.syn() => end.begin(s.sequence, after),
            // As if its SYN had been seen, so that sizes count alike.
            State::Inactive => end.begin(s.sequence.wrapping_sub(1), s.sequence),
            State::SynSent if s.flags.syn() && s.sequence != end.start => end.begin(s.sequence, after),
            State::Established | State::Partial if s.flags.syn() => end.begin(s.sequence, after),
            State::Reset if s.flags.syn() && end.before == State::Inactive => end.begin(s.sequence, after),
            _ => {}
        }
    }

    fn letters(&mut self, way: Way, s: &Seen, relative: i64) {
        let flags = s.flags;
        match u8::from(flags.syn()) + u8::from(flags.fin()) + u8::from(flags.rst()) {
            0 if s.length > 0 => {
                self.add_once(way, once::DATA, 'D');
            }
            0 if flags.ack() => {
                self.add_once(way, once::ACK, 'A');
            }
            0 => {}
            1 if flags.syn() => {
                let letter = if flags.ack() { 'H' } else { 'S' };
                if self.add_once(way, once::SYN, letter) && self.end(way).last_syn != relative {
                    self.add(way, letter);
                }
                self.end(way).last_syn = relative;
            }
            1 if flags.fin() => {
                let at = relative + s.length as i64;
                if self.add_once(way, once::FIN, 'F') && self.end(way).last_fin != at {
                    self.add(way, 'F');
                }
                self.end(way).last_fin = at;
            }
            1 => {
                if self.add_once(way, once::RST, 'R') && self.end(way).last_rst != relative {
                    self.add(way, 'R');
                }
                self.end(way).last_rst = relative;
            }
            _ if flags.fin() && flags.rst() => {
                self.add_once(way, once::FIN_RST, 'I');
            }
            _ => {
                self.add_once(way, once::MULTI, 'Q');
            }
        }
    }

    fn window(&mut self, way: Way, s: &Seen) {
        let peer = self.end(way.other()).state;
        let end = self.end(way);
        if s.window == 0 && !s.flags.rst() && peer != State::Closed && end.state != State::Reset && end.zero_windows.hit() {
            self.add(way, 'W');
        }
    }

    fn acknowledge(&mut self, way: Way, s: &Seen) {
        let peer = self.end(way.other());
        if peer.state == State::Inactive {
            let start = s.acknowledgement.wrapping_sub(1);
            peer.begin(start, start);
            return;
        }
        let acked = peer.relative(s.acknowledgement, peer.acked);
        // Acknowledgements in resets are not trusted, nor a 0 that is far away.
        let broken = s.acknowledgement == 0 && acked - peer.acked > TOO_LARGE_JUMP;
        if acked > peer.acked && !s.flags.rst() && !broken {
            peer.acked = acked;
        }
    }

    fn advance(&mut self, way: Way, s: &Seen, after: u32) {
        let end = self.end(way);
        let last = end.relative(after, end.last);
        let jump = last - end.last;
        if (s.flags.syn() || s.flags.rst()) && jump.abs() > TOO_LARGE_JUMP {
            return;
        }
        if s.flags.fin() && end.last == 1 {
            // All between SYN and FIN may be missing, even more than 2 GiB.
            end.last = i64::from(after.wrapping_sub(end.start));
        } else if end.state == State::Reset {
        } else if jump > 0 {
            end.last = last;
        } else if s.length > 0 && end.retransmissions.hit() {
            self.add(way, 'T');
        }
    }

    fn change(&mut self, way: Way, s: &Seen) {
        let flags = s.flags;
        let (state, peer, peer_before) = {
            let peer = *self.end(way.other());
            (self.end(way).state, peer.state, peer.before)
        };
        match state {
            State::Inactive => self.change_inactive(way, s, peer),
            State::SynSent => {
                if flags.fin() {
                    self.close(way, State::Closed);
                }
                if flags.rst() {
                    self.close(way, State::Reset);
                }
            }
            State::Established | State::Partial => {
                if flags.syn() && state == State::Partial && peer == State::Inactive && !flags.ack() {
                    self.end(way).set(State::SynSent);
                }
                if flags.fin() && !flags.rst() {
                    self.close(way, State::Closed);
                    // A FIN and then a RST from the peer was an end in order, after all.
                    if peer == State::Reset && peer_before == State::Closed {
                        self.end(way.other()).set(State::Closed);
                    }
                }
                if flags.rst() {
                    self.close(way, State::Reset);
                }
            }
            State::Closed => {
                if flags.rst() && peer != State::Closed {
                    self.close(way, State::Reset);
                }
            }
            State::Reset => {}
        }
    }

    fn change_inactive(&mut self, way: Way, s: &Seen, peer: State) {
        let flags = s.flags;
        let of_client = way == Way::ToServer;
        if flags.syn() {
            if of_client {
                // The SYN after its answer: packets of two interfaces.
                let late = peer == State::Established && !flags.ack();
                self.end(way).set(if late { State::Established } else { State::SynSent });
            } else {
                if peer == State::SynSent {
                    self.end(way.other()).set(State::Established);
                }
                self.end(way).set(State::Established);
            }
        }
        if flags.fin() {
            self.close(way, State::Closed);
        }
        if flags.rst() {
            self.close(way, State::Reset);
        }
        if self.end(way).state == State::Inactive {
            // Some acknowledge a SYN before they answer it.
            if !of_client && s.length == 0 && peer == State::SynSent {
                return;
            }
            let answered = flags.ack() && peer == State::Established;
            self.end(way).set(if answered { State::Established } else { State::Partial });
        }
    }

    fn close(&mut self, way: Way, state: State) {
        let end = self.end(way);
        end.set(state);
        end.closed = true;
    }

    /// Whether both ends were heard of beyond an attempt.
    pub(super) fn is_established(&self) -> bool {
        let handshake = |s| matches!(s, State::Inactive | State::SynSent);
        !handshake(self.client.state) || !handshake(self.server.state)
    }

    /// Whether both ends have closed, or one has reset.
    pub(super) fn is_over(&self) -> bool {
        let (c, s) = (self.client.state, self.server.state);
        self.is_reset() && !self.goes_on || c == State::Closed && s == State::Closed
    }

    fn is_reset(&self) -> bool {
        self.client.state == State::Reset || self.server.state == State::Reset
    }

    /// Payload bytes of each end: of TCP by sequence numbers.
    pub(super) fn sizes(&self, tcp: bool) -> (u64, u64) {
        if tcp {
            (self.client.size(self.server.state), self.server.size(self.client.state))
        } else {
            (self.client.payload, self.server.payload)
        }
    }

    /// Zeek's `conn_state` of TCP.
    pub(super) fn tcp_state(&self) -> &'static str {
        let (client, server) = (self.client.state, self.server.state);
        let quiet = |s| matches!(s, State::Inactive | State::Partial);
        match (client, server) {
            (State::SynSent, State::Reset) => "REJ",
            (State::Reset, State::Reset) if self.sizes(true) == (0, 0) => "REJ",
            (c, State::Reset) if quiet(c) => "RSTRH",
            (_, State::Reset) => "RSTR",
            (State::Reset, s) if quiet(s) && self.is_syn_then_reset() => "RSTOS0",
            (State::Reset, s) if quiet(s) => "OTH",
            (State::Reset, _) => "RSTO",
            (State::Closed, State::Closed) => "SF",
            (State::Closed, s) if quiet(s) => "SH",
            (State::Closed, _) => "S2",
            (c, State::Closed) if quiet(c) => "SHR",
            (_, State::Closed) => "S3",
            (State::SynSent, State::Inactive) => "S0",
            (State::Established, State::Established) => "S1",
            _ => "OTH",
        }
    }

    /// Zeek's `conn_state` of UDP.
    pub(super) fn udp_state(&self) -> &'static str {
        match (self.client.state != State::Inactive, self.server.state != State::Inactive) {
            (true, true) => "SF",
            (true, false) => "S0",
            (false, true) => "SHR",
            (false, false) => "OTH",
        }
    }

    /// Zeek's pattern `\^?S[^HAFGIQ]*R.*` over the history.
    fn is_syn_then_reset(&self) -> bool {
        let history = self.history.strip_prefix('^').unwrap_or(&self.history);
        let Some(rest) = history.strip_prefix('S') else { return false };
        let stop = rest.find(['H', 'A', 'F', 'G', 'I', 'Q']).unwrap_or(rest.len());
        rest.get(..stop).is_some_and(|before| before.contains('R'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    /// Whether it goes to the server, flags, sequence, acknowledgement, length.
    type Segment = (bool, u8, u32, u32, usize);

    fn run(segments: &[Segment]) -> (String, &'static str, (u64, u64)) {
        let mut f = Facts::default();
        for &(to_server, flags, sequence, acknowledgement, length) in segments {
            let way = if to_server { Way::ToServer } else { Way::ToClient };
            let time = Timestamp::ZERO;
            f.segment(way, &Seen { flags: Flags(flags), sequence, acknowledgement, window: 1, length, time });
        }
        (f.history.clone(), f.tcp_state(), f.sizes(true))
    }

    #[test]
    fn states_and_histories() {
        let open = [(true, SYN, 99, 0, 0), (false, SYN | ACK, 499, 100, 0), (true, ACK, 100, 500, 0)];
        let talk = [(true, ACK, 100, 500, 10), (false, ACK, 500, 110, 20)];
        let all = |parts: &[&[Segment]]| run(&parts.concat());
        assert_eq!(all(&[&open[..1]]), ("S".into(), "S0", (0, 0)));
        assert_eq!(all(&[&open, &talk]), ("ShADd".into(), "S1", (10, 20)));
        let fins = [(true, FIN | ACK, 110, 520, 0), (false, FIN | ACK, 520, 111, 0), (true, ACK, 111, 521, 0)];
        assert_eq!(all(&[&open, &talk, &fins]), ("ShADdFf".into(), "SF", (10, 20)));
        assert_eq!(all(&[&open, &talk, &fins[..1]]), ("ShADdF".into(), "S2", (10, 20)));
        assert_eq!(all(&[&open, &talk, &[(false, FIN | ACK, 520, 110, 0)]]), ("ShADdf".into(), "S3", (10, 20)));
        assert_eq!(all(&[&open[..1], &[(false, RST | ACK, 0, 100, 0)]]), ("Sr".into(), "REJ", (0, 0)));
        assert_eq!(all(&[&open, &talk, &[(true, RST, 110, 0, 0)]]), ("ShADdR".into(), "RSTO", (10, 20)));
        assert_eq!(all(&[&open, &talk, &[(false, RST, 520, 0, 0)]]), ("ShADdr".into(), "RSTR", (10, 20)));
        assert_eq!(all(&[&open[..1], &[(true, RST, 100, 0, 0)]]), ("SR".into(), "RSTOS0", (0, 0)));
        assert_eq!(all(&[&open[1..2], &[(false, RST, 500, 0, 0)]]), ("hr".into(), "RSTRH", (0, 0)));
        assert_eq!(all(&[&open[..1], &[(true, FIN, 100, 0, 0)]]), ("SF".into(), "SH", (0, 0)));
        assert_eq!(all(&[&open[1..2], &[(false, FIN | ACK, 500, 100, 0)]]), ("hf".into(), "SHR", (0, 0)));
        assert_eq!(all(&[&talk]), ("Dd".into(), "OTH", (10, 20)));
    }

    #[test]
    fn repeats_are_marked() {
        let syn = (true, SYN, 99, 0, 0);
        assert_eq!(run(&[syn, syn]).0, "S");
        assert_eq!(run(&[syn, (true, SYN, 199, 0, 0)]).0, "S", "relative to the new start it is the same one");
        let data = (true, ACK, 100, 500, 10);
        assert_eq!(run(&[syn, (false, SYN | ACK, 499, 100, 0), data, data, data]).0, "ShDT");
        assert_eq!(run(&[syn, (true, SYN | FIN, 99, 0, 0), (true, FIN | RST, 99, 0, 0)]).0, "SQI");
        let mut s = Scaled::default();
        assert_eq!((1..=1000).filter(|_| s.hit()).count(), 4);
    }

    #[test]
    fn sizes_hold_past_the_wrap() {
        let mut f = Facts::default();
        let mut sequence = u32::MAX - 5;
        let seen = |flags, sequence, length| Seen {
            flags: Flags(flags),
            sequence,
            acknowledgement: 1,
            window: 1,
            length,
            time: Timestamp::ZERO,
        };
        f.segment(Way::ToServer, &seen(SYN, sequence, 0));
        sequence = sequence.wrapping_add(1);
        for _ in 0..100 {
            f.segment(Way::ToServer, &seen(ACK, sequence, 100_000_000));
            sequence = sequence.wrapping_add(100_000_000);
        }
        assert_eq!(f.sizes(true).0, 10_000_000_000);
    }

    #[test]
    fn a_history_does_not_grow_without_end() {
        let mut f = Facts::default();
        for i in 0..10_000 {
            f.segment(
                Way::ToServer,
                &Seen { flags: Flags(FIN), sequence: i * 77, acknowledgement: 0, window: 0, length: 0, time: Timestamp::ZERO },
            );
        }
        assert!(f.history.len() <= HISTORY_MAX);
    }
}
