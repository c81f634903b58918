//! The bounds of joining packets to streams.

use crate::time::SECOND_NS;

/// What may be kept, how much of it and how long. A bound that is hit is told through [`super::Handler::limit`] under the name of its field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at a time. Default 200,000: with under 1 KiB each, less than the memory of an analysis. The one that would be forgotten
    /// first makes room.
    pub connections: usize,
    /// Bytes of one direction that wait for earlier ones, blocks' own cost included. Default 4 MiB: a receive window that servers really
    /// use. At the bound the hole before them is taken as lost.
    pub stream_bytes: usize,
    /// Bytes of all directions that wait. Default 64 MiB: a quarter of an analysis' memory. At the bound the connection that brings more
    /// gives up its holes.
    pub waiting_bytes: usize,
    /// Bytes of later data after which an acknowledged hole is lost. Default 1 MiB: more than a capture's disorder reaches.
    pub later_bytes: usize,
    /// How long an acknowledged hole may still be filled, in nanoseconds of capture time. Default 100 ms: captures of two interfaces, and
    /// of several queues, are not further out of order.
    pub acknowledged_ns: u64,
    /// How long a hole may still be filled where only one direction is captured. Default 1 s: the longest usual retransmission time-out.
    pub one_sided_ns: u64,
    /// Delivered bytes of a direction that are kept to be compared with retransmissions. Default 64 KiB: what a sender without window
    /// scaling has in flight.
    pub kept_bytes: usize,
    /// Delivered bytes of all directions that are kept. Default 32 MiB: 256 connections that are busy both ways. Beyond it, directions
    /// keep nothing.
    pub kept_bytes_all: usize,
    /// How far ahead of everything seen a segment or an acknowledgement may lie, in bytes. Default 1 GiB: the largest window (RFC 7323
    /// 2.2). What lies further is no part of the stream.
    pub jump_bytes: u64,
    /// Datagrams at a time of which fragments wait. Default 4,096: Linux's own bound in bytes, at two fragments each.
    pub fragments: usize,
    /// Bytes of waiting fragments. Default 16 MiB: four times Linux's `ipfrag_high_thresh`.
    pub fragment_bytes: usize,
    /// How long fragments wait. Default 30 s: Linux's `ipfrag_time`.
    pub fragment_ns: u64,
    /// After how long without a packet a TCP connection is forgotten. Default 300 s: Zeek's `tcp_inactivity_timeout`.
    pub tcp_idle_ns: u64,
    /// The same for one that has not been established. Default 60 s: what Zeek grants until then.
    pub attempt_idle_ns: u64,
    /// The same for UDP. Default 60 s: Zeek's `udp_inactivity_timeout`.
    pub udp_idle_ns: u64,
    /// The same for ICMP. Default 60 s: Zeek's `icmp_inactivity_timeout`.
    pub icmp_idle_ns: u64,
    /// The same after both ends have closed, or one has reset. Default 5 s: Zeek's `tcp_close_delay`.
    pub closed_idle_ns: u64,
    /// After how long without a packet a SYN with another sequence number begins a new connection though the old one was not closed.
    /// Default 10 s.
    pub reuse_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 200_000,
            stream_bytes: 4 << 20,
            waiting_bytes: 64 << 20,
            later_bytes: 1 << 20,
            acknowledged_ns: SECOND_NS / 10,
            one_sided_ns: SECOND_NS,
            kept_bytes: 64 << 10,
            kept_bytes_all: 32 << 20,
            jump_bytes: 1 << 30,
            fragments: 4096,
            fragment_bytes: 16 << 20,
            fragment_ns: 30 * SECOND_NS,
            tcp_idle_ns: 300 * SECOND_NS,
            attempt_idle_ns: 60 * SECOND_NS,
            udp_idle_ns: 60 * SECOND_NS,
            icmp_idle_ns: 60 * SECOND_NS,
            closed_idle_ns: 5 * SECOND_NS,
            reuse_ns: 10 * SECOND_NS,
        }
    }
}
