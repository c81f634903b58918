//! The recorder: live interfaces into rings.
//!
//! An interface has one thread for each of its streams, which takes packets from the kernel, indexes them and hands blocks over
//! ([`stream`]), and one that opens its ring, and opens it again when it could not be written ([`interface`]). The ring's own threads
//! write, seal and drop. Nobody waits for a reader.

mod clock;
mod desk;
mod interface;
mod privileges;
mod status;
mod stream;

pub use interface::{Backend, InterfaceOptions, RecordError, Recorder, Running};
pub use privileges::{PrivilegeError, leave_root, may_keep_data};
pub use status::{InterfaceStatus, LinkState, STATE_FILE, State, read_state};
