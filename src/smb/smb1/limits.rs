//! The bounds of one connection's memory, and of the work for one message.

/// Requests that wait for an answer, per connection. Clients keep at most MaxMpxCount (50 as a rule) outstanding: 8,192 is ample, and only
/// a hostile stream or a capture without answers gets there. The oldest is forgotten then.
pub(super) const PENDING_MAX: usize = 8_192;

/// Requests that wait with the same process and multiplex id. Clients use an id again after its answer, so that there are two only
/// where one direction is read ahead of the other.
pub(super) const SAME_ID_MAX: usize = 32;

/// Bytes of names, dialects and unfinished transactions that waiting requests may hold, per connection. 64 KiB is the longest ordinary
/// request, so 4 MiB holds any honest set of them. The oldest are forgotten then.
pub(super) const PENDING_BYTES_MAX: usize = 4 << 20;

/// Open files, pipes and directories of one connection. Windows serves 16,384 (a file id has 16 bits, `MaxMpxCt` and memory bound it long
/// before); 8,192 covers what clients hold open. The one that was not used for longest is given up then.
pub(super) const OPENS_MAX: usize = 8_192;

/// Bytes of names that the open files of one connection may hold: 8,192 names of 512 bytes.
pub(super) const OPENS_BYTES_MAX: usize = 4 << 20;

/// Sessions of one connection. A terminal server has one for each user; 1,024 is more than Windows admits on one connection.
pub(super) const SESSIONS_MAX: usize = 1_024;

/// Tree connects of one connection, of the same reason as [`SESSIONS_MAX`].
pub(super) const TREES_MAX: usize = 1_024;

/// Commands in one AndX chain. The longest that makes sense has five; the chain's 16-bit offsets alone would allow nine thousand.
pub(super) const CHAIN_MAX: usize = 32;

/// WRITE_MPX requests under one MID: the request mask has 32 bits ([MS-CIFS] 2.2.4.26.1).
pub(super) const MPX_MAX: usize = 32;

/// Bytes of parameters or of data of one transaction. TRANSACTION and TRANSACTION2 can hold 64 KiB of each, NT_TRANSACT as much as the
/// server's buffers: 1 MiB holds what servers take.
pub(super) const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// Separate pieces of one unfinished transaction. Honest ones come in order, so that there is one.
pub(super) const TRANSACTION_PIECES_MAX: usize = 64;

/// Dialects of a NEGOTIATE that are kept. Clients send up to 12.
pub(super) const DIALECTS_MAX: usize = 64;

/// Resume keys of server-side copies that are kept, each 24 bytes. A client uses a key right after it asked for it.
pub(super) const RESUME_KEYS_MAX: usize = 64;

/// Entries told of one directory listing: one answer holds 64 KiB of at least 12 bytes each; 1 MiB is the longest that is put together.
pub(super) const LISTED_MAX: usize = 8_192;

/// Chunks told of one server-side copy. Windows takes 256 in one request.
pub(super) const CHUNKS_MAX: usize = 256;
