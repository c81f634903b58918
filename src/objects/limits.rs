//! What forming objects may cost at most: each bound with its unit, its default and why.

/// The bounds of forming objects. What is beyond one is left out and said to be (`limit`), never guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes kept of one object. Default 4 GiB: a disk image does not fill the disk; longer ones are rare.
    pub object_bytes: u64,
    /// The highest offset in a file at which bytes are kept. Default 4 TiB: file systems refuse offsets from 8 or 16 TiB on, and a hostile
    /// offset must not look like a failing disk.
    pub offset_max: u64,
    /// Ranges in each of an object's range maps. Default 16,384: a database read in that many scattered places still fits, and takes 1 MiB.
    pub ranges: usize,
    /// Versions kept of one read or write of an open. Default 16: the first ones and the newest are kept.
    pub versions: u32,
    /// Bytes copied for one open to keep its earlier versions. Default 1 GiB: a header rewritten again and again must not copy the file each time.
    pub version_bytes: u64,
    /// WRITEs of one open that wait for their answers. Default 4,096: eight times the credits that servers usually grant.
    pub pending_writes: usize,
    /// READs of one open that wait for their answers. Default 4,096, as for WRITEs.
    pub pending_reads: usize,
    /// Opens formed at once. Default 100,000. Beyond it, the one that has been silent longest ends there.
    pub opens: usize,
    /// Bytes of names, range maps and tables of all opens together. Default 64 MiB. Beyond it, as with `opens`.
    pub state_bytes: usize,
    /// Bytes of one content that are held in memory until it is closed. Default 64 KiB: most files are smaller, and never need a temporary file.
    pub memory_per_content: usize,
    /// Bytes of all contents held in memory. Default 32 MiB. Beyond it, contents go to temporary files.
    pub memory_contents: usize,
    /// Bytes on the way from the parsing thread to the disk and the hash. Default 16 MiB: enough for two threads to work side by side.
    pub queue_bytes: usize,
    /// Temporary files held open. Default 128: well below the usual limit of 1,024 for a process.
    pub files_open: usize,
    /// Sessions of which it is remembered that messages could not be decrypted. Default 65,536.
    pub sealed_sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            object_bytes: 4 << 30,
            offset_max: 4 << 40,
            ranges: 16_384,
            versions: 16,
            version_bytes: 1 << 30,
            pending_writes: 4_096,
            pending_reads: 4_096,
            opens: 100_000,
            state_bytes: 64 << 20,
            memory_per_content: 64 << 10,
            memory_contents: 32 << 20,
            queue_bytes: 16 << 20,
            files_open: 128,
            sealed_sessions: 65_536,
        }
    }
}
