//! How much is kept of what the wire says, so that no capture can fill the memory.

/// The limits of an analysis' SMB part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Servers known by GUID or address. 65,536: a network's, and a scan's.
    pub servers: usize,
    /// Sessions at once. 65,536: a file server has a few thousand.
    pub sessions: usize,
    /// Files open at once, over all sessions. 262,144: Windows' own default for a server.
    pub opens: usize,
    /// Bytes of the names of those files. 32 MiB: 128 bytes for each.
    pub name_bytes: usize,
    /// Tree connects of one session. 4,096.
    pub trees: usize,
    /// Tree connects of all sessions. 262,144: as many as files.
    pub trees_in_all: usize,
    /// Requests of a connection without an answer. 16,384: twice the credits that Windows grants.
    pub pending: usize,
    /// Bytes of a direction in which a beginning is looked for after a gap. 9 MiB: the longest message that Windows sends, and a header.
    pub footing_bytes: usize,
    /// Bytes of all messages that are being put together or looked at for a beginning. 64 MiB: a message in each of some connections.
    pub held_bytes: usize,
    /// Bytes that the connections keep besides: requests without an answer, set-ups that go on, SMB1's open files. 64 MiB: a few hundred
    /// bytes for each of the 16,384 requests of some ten connections, or a handful in each of 50,000.
    pub state_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            servers: 65_536,
            sessions: 65_536,
            opens: 262_144,
            name_bytes: 32 << 20,
            trees: 4_096,
            trees_in_all: 262_144,
            pending: 16_384,
            footing_bytes: 9 << 20,
            held_bytes: 64 << 20,
            state_bytes: 64 << 20,
        }
    }
}
