//! What an association may hold and for how long, and what it is told about its reader's wishes.

/// Bounds of one association. Each has a name in [`super::RpcEvent::Odd`] when it is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of stub kept of one call, in each direction. Default 1 MiB: the largest task XML, registry value or list that is decoded is
    /// well under it. Further bytes are counted, not kept.
    pub stub_bytes_max: usize,
    /// Bytes of stub kept of all calls together. Default 8 MiB: eight of the largest at once, so that a thousand hostile pipes stay small
    /// only together with `calls_max`.
    pub held_bytes_max: usize,
    /// Calls without an answer kept at once. Default 64: clients have a few. The oldest is told when one more comes.
    pub calls_max: usize,
    /// How long an answer is waited for, in nanoseconds of capture time. Default 5 minutes: calls that wait for a change answer later and
    /// are told without their answer.
    pub answer_ns_max: u64,
    /// Presentation contexts kept. Default 512: a bind offers at most 255, and clients alter a few times.
    pub contexts_max: usize,
    /// Binds and alter-contexts without an answer kept at once. Default 16: each waits for its answer before the next.
    pub binds_max: usize,
    /// Context handles whose names are remembered. Default 256: an administrator's tool has tens open. The oldest is forgotten.
    pub handles_max: usize,
    /// Passwords in arguments are told as they are. Default no: they are redacted.
    pub reveal_passwords: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            stub_bytes_max: 1 << 20,
            held_bytes_max: 8 << 20,
            calls_max: 64,
            answer_ns_max: 300 * crate::time::SECOND_NS,
            contexts_max: 512,
            binds_max: 16,
            handles_max: 256,
            reveal_passwords: false,
        }
    }
}
