//! A connection, what is said of it at its end, and its name.

use super::terms::{ConnectionId, End, PacketRef};
use crate::time::Timestamp;
use crate::wire::{FlowKey, community_id};
use sha1::{Digest as _, Sha1};

/// A connection: of TCP, or in Zeek's sense of UDP and ICMP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// The flow's key, VLAN tags included.
    pub key: FlowKey,
    /// IP protocol: 6, 17, 1 or 58.
    pub protocol: u8,
    /// Who opened it. Ports of ICMP are, as in Zeek's log, the type and the type of its answer, or the code.
    pub client: End,
    /// Who was asked.
    pub server: End,
    /// Its first packet.
    pub first: PacketRef,
    /// Of TCP: its SYN was not captured.
    pub late_start: bool,
    /// The UDP connection that carries it: a tunnel (VXLAN, Geneve, GTP, Teredo).
    pub tunnel: Option<ConnectionId>,
}

impl Connection {
    /// The Community ID, version 1, seed 0.
    pub fn community_id(&self) -> Option<String> {
        community_id(&self.key)
    }

    /// The connection's `uid`: see [`uid`].
    pub fn uid(&self) -> String {
        uid(&self.key, self.first.time)
    }

    /// The outer and the inner VLAN identifier, where it has any.
    pub fn vlans(&self) -> (Option<u16>, Option<u16>) {
        let mut vlans = self.key.vlans().iter();
        (vlans.next(), vlans.next())
    }

    /// Both ends of a key, `a` first.
    pub(super) fn ends(key: &FlowKey) -> Option<(End, End)> {
        let ((a, b), (a_port, b_port)) = (key.addresses()?, key.ports()?);
        Some((End { ip: a, port: a_port }, End { ip: b, port: b_port }))
    }
}

/// Zeek's kind of name of a connection: `C` and 17 characters of base 62, from a SHA-1 over the flow's key and the time of its first
/// packet: the same in every run.
pub fn uid(key: &FlowKey, first: Timestamp) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha1::new()
        .chain_update(key.a)
        .chain_update(key.b)
        .chain_update(key.vlan.to_be_bytes())
        .chain_update(key.a_port.to_be_bytes())
        .chain_update(key.b_port.to_be_bytes())
        .chain_update([key.proto, key.bits])
        .chain_update(first.as_nanos().to_be_bytes())
        .finalize();
    let mut number = digest.iter().take(16).fold(0_u128, |n, b| n << 8 | u128::from(*b));
    let mut name = String::with_capacity(18);
    name.push('C');
    for _ in 0..17 {
        name.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    name
}

/// What one end sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Packets; a datagram in fragments is one.
    pub packets: u64,
    /// Bytes of IP datagrams, headers included.
    pub ip_bytes: u64,
    /// Payload bytes; of TCP by sequence numbers, so that repeats count once and what was lost counts.
    pub payload_bytes: u64,
}

/// Why no more is said of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ended {
    /// Both ends closed it, or one reset it.
    Closed,
    /// Nothing came for long.
    Idle,
    /// A new connection took its ports.
    Reused,
    /// It made room for others ([`super::Limits::connections`]).
    Limit,
    /// The capture ended.
    CaptureEnd,
}

/// What is known of a connection at its end: the facts of Zeek's conn.log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Nanoseconds from the first packet to the last one that counts: of TCP none after both ends have closed.
    pub duration_ns: u64,
    /// Time of the last packet.
    pub last: Timestamp,
    /// Sent by the client.
    pub client: Sent,
    /// Sent by the server.
    pub server: Sent,
    /// Zeek's `conn_state`.
    pub state: &'static str,
    /// Zeek's `history`.
    pub history: String,
    /// Zeek's `missed_bytes`: bytes of gaps, where both ends were established.
    pub missed_bytes: u64,
    /// Bytes of all gaps that were told, and of those of unwanted connections.
    pub lost_bytes: u64,
    /// Bytes that came after they had been told as a gap.
    pub late_bytes: u64,
    /// Bytes that lie before the stream's first held byte, or too far ahead: no part of it.
    pub stray_bytes: u64,
    /// Why it ended.
    pub ended: Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_zeeks_kind_of_name_and_stable() {
        let key = FlowKey { a: [1; 16], b: [2; 16], vlan: 0, a_port: 80, b_port: 1234, proto: 6, bits: 8 };
        let name = uid(&key, Timestamp::from_nanos(1_700_000_000_000_000_001));
        assert_eq!(name.len(), 18);
        assert!(name.starts_with('C') && name.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(name, uid(&key, Timestamp::from_nanos(1_700_000_000_000_000_001)));
        assert_ne!(name, uid(&key, Timestamp::from_nanos(1_700_000_000_000_000_002)));
        assert_ne!(name, uid(&FlowKey { vlan: 1, ..key }, Timestamp::from_nanos(1_700_000_000_000_000_001)));
    }
}
