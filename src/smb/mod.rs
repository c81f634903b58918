//! SMB1, SMB2 and SMB3: streams in, events out (`event`). One file a command.
//!
//! It is found on any port by content. Late starts, gaps and one-sided captures cost the messages that they touch and no others. Nothing
//! is guessed: what a message does not say of its file, offset or session is counted and left out. It does not know where content is kept.

mod bytes;
pub mod compress;
#[cfg(test)]
mod corpus_messages;
pub mod crypt;
pub mod event;
mod footing;
mod framing;
#[cfg(test)]
mod hostile;
mod limits;
#[cfg(test)]
mod log;
mod netbios;
pub mod reader;
mod shared;
mod smb1;
mod smb2;
mod streams;

pub use limits::Limits;
pub use streams::{Recognized, Smb};
