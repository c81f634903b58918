//! SMB 2.0.2 to 3.1.1, [MS-SMB2]: messages in, events out. One file a command.
//!
//! Here is what they share: the state of a connection, compounds, and which request an answer is of. READ answers and WRITE requests are
//! streamed, everything else is read whole.

mod close;
mod connection;
mod create;
mod header;
mod info;
mod ioctl;
mod listing;
mod negotiate;
mod pending;
mod read;
mod sealed;
mod session;
mod state;
mod streamed;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub(super) use connection::Smb2;
pub(super) use header::MAGIC;
pub(super) use sealed::{COMPRESSED, ENCRYPTED, Transform};
pub(super) use state::Tools;

/// The session id of what looks like a header.
pub(super) fn header_session(bytes: &[u8]) -> Option<u64> {
    header::Header::parse(bytes).filter(header::Header::is_plausible).map(|h| h.session_id)
}
