//! Packets become connections and streams of bytes.
//!
//! Takes packets of any link type and tunnel in the order of a capture; gives, for each TCP connection, the bytes of both directions in
//! order and once, with every hole said, and, for each connection of TCP, UDP and ICMP, the facts of Zeek's conn.log. Knows no protocol
//! above TCP and UDP.
//!
//! Any bytes are taken: nothing panics, and what is kept is bounded by [`Limits`]. Time is that of the packets. The same packets give the
//! same calls of [`Handler`].
//!
//! Connections are told apart by [`crate::wire::FlowKey`], VLAN tags included. Of tunnels the innermost layer belongs to a connection;
//! UDP that carries one (VXLAN, Geneve, GTP, Teredo) is a connection, too.

mod terms;

mod limits;

mod headers;

mod fragments;

mod assembler;

mod delivered;

mod connection;

mod handler;

mod facts;

mod roles;

mod scene;

mod stream;

mod table;

mod flows;

#[cfg(test)]
mod tests;

pub use assembler::{Assembler, BLOCK_COST, Content, Difference, From, Segment, Sink};
pub use connection::{Connection, Ended, Sent, Summary, uid};
pub use flows::{Flows, Input};
pub use handler::{Conflict, Datagram, Handler, Interest};
pub use limits::Limits;
pub use terms::*;
