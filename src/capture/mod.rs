//! How packets arrive: live interfaces, through the kernel's packet sockets or through libpcap. Knows nothing of where they go.
//!
//! A [`Source`] is asked for what has come, again and again; it hands out packets as `tcpdump -i` would record them: promiscuous, times in
//! nanoseconds, VLAN tags where they were on the wire, loopback packets once.

pub mod device;
pub mod filter;
mod frames;
pub mod libpcap;
pub mod packet_socket;
mod source;

pub use source::{CaptureError, Drops, Fanout, Link, Options, Polled, Source};
