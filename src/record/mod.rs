//! The recorder: live interfaces into rings.
//!
//! | thread | one for each | does | waits for | queue behind it |
//! |---|---|---|---|---|
//! | stream | stream of an interface | takes packets from the kernel, indexes them, hands blocks over | the kernel; room in the queue | 24 blocks of 1 MiB |
//! | disk | ring | writes blocks and the records that publish them, opens segments | the disk | 2 segments |
//! | seal | ring | sorts indexes, syncs, drops the oldest, frees room for the next segment | the disk | none |
//! | interface | interface | opens the ring and the sockets, and again when they failed | the others | none |
//! | main | process | state files, status line, signals | time | none |
//!
//! Nobody waits for a reader. What the stream thread cannot hand over stays in the kernel's buffer, and what finds no room there is counted.

mod desk;
mod interface;
mod privileges;
mod status;
mod stream;
#[cfg(test)]
mod stream_tests;

pub use interface::{Backend, InterfaceOptions, RecordError, Recorder, Running};
pub use privileges::{PrivilegeError, leave_root, may_keep_data};
pub use status::{InterfaceStatus, LinkState, STATE_FILE, State, read_state};
