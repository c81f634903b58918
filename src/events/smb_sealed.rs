//! `smb_sealed` (our own): encrypted SMB messages of a session that could not be opened, and why.

use super::head::Head;
use serde::Serialize;

/// A row of `smb_sealed`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SmbSealed {
    /// Time of the first one, and its connection.
    #[serde(flatten)]
    pub head: Head,
    /// The session's id as on the wire, as key lists name it: `0x` and 16 digits.
    pub session_id: String,
    /// `no_key`: none was given; `wrong_key`: the tag is wrong; `late_start`: the messages that keys are derived from are not in the capture.
    pub why: &'static str,
    /// How many messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}
