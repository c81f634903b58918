//! SMB1: the messages of one connection in, the events of [`crate::smb::event`] out ([MS-CIFS], [MS-SMB]).
//!
//! Promises: nothing that comes off the wire panics or grows memory without a bound of `limits.rs`; READ_ANDX answers and WRITE_ANDX
//! requests are not put together but told as their bytes come; an answer whose request was not seen has no place in a file and is told as
//! `unplaced_read`, never guessed; each event is told once, in the order of the messages.

mod answer;
mod asked;
mod bounded;
mod connection;
mod content;
mod fields;
mod header;
mod limits;
mod listing;
mod names;
mod nt_transact;
mod open;
mod pipe;
mod request;
mod setup;
mod shape;
mod state;
mod status;
mod stream;
mod tell;
mod text;
mod trans2;
mod transact;
mod transaction;

#[cfg(test)]
mod tests;

pub(super) use connection::Smb1;
