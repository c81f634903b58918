//! What SMB tells: the one vocabulary of SMB1 and SMB2, in which file bytes, opens, sessions and trees are said.
//!
//! Events come in the order in which messages were read. Strings are as on the wire, backslashes and all. Statuses are NTSTATUS values
//! (SMB1's DOS errors are mapped, [MS-CIFS] 2.2.2.4).

use crate::flow::{ConnectionId, PacketRef, Way};
use crate::time::Timestamp;

/// An open file, pipe or directory; unique in an analysis. A durable reconnect keeps it, a reused file id gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpenId(pub u64);

/// A session (an account's logon); unique in an analysis. Bound channels share it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// A tree connect; unique in an analysis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TreeId(pub u64);

/// One READ or WRITE; unique in an analysis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId(pub u64);

/// Read from the server or written to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Content that came from the server.
    Read,
    /// Content that went to the server.
    Write,
}

/// What a tree connect gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TreeKind {
    /// A file share.
    Disk,
    /// IPC$.
    Pipe,
    /// A printer.
    Print,
    /// The tree connect was not seen.
    Unknown,
}

/// Of whom or what an event speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The connection.
    pub connection: ConnectionId,
    /// The packet in which the message ended (for [`What::Data`] the one that the bytes were in).
    pub at: PacketRef,
    /// The session, where the message names one.
    pub session: Option<SessionId>,
    /// The tree, where the message names one.
    pub tree: Option<TreeId>,
    /// It was encrypted (SMB3) on the wire.
    pub encrypted: bool,
    /// It was compressed on the wire.
    pub compressed: bool,
}

/// An open, as far as it was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// The name relative to the share, without the stream; `None` where the CREATE was not seen.
    pub name: Option<String>,
    /// The name of an alternate data stream (without `:$DATA`).
    pub stream: Option<String>,
    /// The file id as on the wire: 16 bytes of SMB2, 2 of SMB1.
    pub file_id: Vec<u8>,
    /// CreateAction of the answer: 0 superseded, 1 opened, 2 created, 3 overwritten.
    pub create_action: Option<u32>,
    /// DesiredAccess, CreateDisposition, CreateOptions as asked.
    pub access: Option<u32>,
    /// See `access`.
    pub disposition: Option<u32>,
    /// See `access`.
    pub options: Option<u32>,
    /// EndofFile of the answer.
    pub size: Option<u64>,
    /// File attributes of the answer.
    pub attributes: Option<u32>,
    /// Creation, last access, last write and change time, as FILETIME; 0 where not told.
    pub times: [u64; 4],
    /// It is a directory.
    pub directory: bool,
    /// Its answer was seen; else only the request, or use of the file id.
    pub answered: bool,
}

/// Where a file's size was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SizeFrom {
    /// The answer to an open.
    Create,
    /// A QUERY_INFO (or TRANS2 QUERY) answer about this open.
    Query,
    /// The attributes in a CLOSE answer.
    Close,
    /// The client set the end of file.
    SetEndOfFile,
    /// A read past it: END_OF_FILE or a short read.
    EndOfFile,
    /// A directory listing names it (not of this open).
    Listing,
}

/// What was told.
#[derive(Clone, PartialEq, Debug)]
pub enum What<'a> {
    /// The server chose a dialect: its name as Zeek gives it (`NT LM 0.12`, `2.0.2`, `3.1.1`), its GUID of SMB2 and SMB3.
    Negotiated {
        /// The dialect.
        dialect: &'a str,
        /// The server's GUID.
        server_guid: Option<[u8; 16]>,
    },
    /// A security token of a session set-up (SPNEGO, NTLMSSP or Kerberos), of a request or, with its status, of an answer.
    Token {
        /// Who sent it.
        way: Way,
        /// The bytes.
        token: &'a [u8],
        /// The answer's status.
        status: Option<u32>,
    },
    /// A session set-up without a token (SMB1's plain one).
    PlainSetUp {
        /// The account's name.
        user: String,
        /// Its domain.
        domain: String,
        /// The answer's status, where it was seen.
        status: Option<u32>,
    },
    /// The session was set up (its last answer was a success), or is gone on after a late start. `guest` as the server says.
    SessionOpened {
        /// Logged on as guest.
        guest: bool,
    },
    /// LOGOFF.
    SessionClosed,
    /// A tree connect was answered with success.
    TreeConnected {
        /// `\\server\share`.
        path: String,
        /// What it is.
        kind: TreeKind,
        /// SMB1's service (`A:`, `IPC`), and native file system.
        service: Option<String>,
        /// See `service`.
        file_system: Option<String>,
    },
    /// Tree disconnect.
    TreeDisconnected,
    /// A file, pipe or directory was opened, or is used though its CREATE was not seen. Told before anything else of it. Told again, with
    /// the same id, when more became known (the answer after the request; a durable reconnect).
    Opened {
        /// Its number.
        open: OpenId,
        /// What is known.
        file: Opened,
    },
    /// An open failed.
    OpenFailed {
        /// The name that was asked for.
        name: String,
        /// Why.
        status: u32,
    },
    /// Bytes of a file or pipe, in the order they came. Of a WRITE before its answer was seen: [`What::WriteDone`] tells what became of them.
    Data {
        /// Of which open.
        open: OpenId,
        /// Read or written.
        action: Action,
        /// By which READ or WRITE.
        operation: OperationId,
        /// Offset in the file. Of a pipe transceive 0.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes of a READ answer or WRITE request that were lost on the way into the capture.
    DataLost {
        /// Of which open.
        open: OpenId,
        /// Read or written.
        action: Action,
        /// By which READ or WRITE.
        operation: OperationId,
        /// Offset in the file.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// A READ was asked for.
    ReadAsked {
        /// Of which open.
        open: OpenId,
        /// Which.
        operation: OperationId,
        /// From where.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// A READ was answered, and all its bytes were told.
    ReadDone {
        /// Of which open.
        open: OpenId,
        /// Which.
        operation: OperationId,
        /// From where.
        offset: u64,
        /// How many bytes were asked for; `None` where the request was not seen.
        asked: Option<u64>,
        /// How many were given.
        given: u64,
        /// The answer's status; END_OF_FILE is 0xC0000011.
        status: u32,
    },
    /// What became of a WRITE.
    WriteDone {
        /// Of which open.
        open: OpenId,
        /// Which.
        operation: OperationId,
        /// To where.
        offset: u64,
        /// How many bytes were sent.
        sent: u64,
        /// How many the server wrote: 0 where it refused, `None` where no answer was captured.
        written: Option<u64>,
    },
    /// A file's size is told.
    Size {
        /// Of which open.
        open: OpenId,
        /// Bytes.
        size: u64,
        /// By what.
        from: SizeFrom,
    },
    /// It was renamed, successfully.
    Renamed {
        /// Which open.
        open: OpenId,
        /// The new name relative to the share.
        to: String,
    },
    /// It is deleted (SMB1 DELETE, delete on close, or disposition set), successfully.
    Deleted {
        /// Which open; `None` for SMB1's DELETE by name.
        open: Option<OpenId>,
        /// The name, where it is known.
        name: Option<String>,
    },
    /// The server copied a range into it (copy-chunk, duplicate-extents), or zeroed it (set-zero-data: no source).
    ServerCopy {
        /// The open written to.
        open: OpenId,
        /// From which open, where it is known.
        source: Option<OpenId>,
        /// To where.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// FSCTL code.
        fsctl: u32,
    },
    /// A CLOSE was answered (`status`), or its answer was not seen (`None`), or the connection ended without one.
    Closed {
        /// Which open.
        open: OpenId,
        /// The answer's status.
        status: Option<u32>,
        /// By a CLOSE, and not by the end of tree, session or capture.
        by_close: bool,
    },
    /// Bytes of a pipe, of either direction: written, read or transceived (always in order within a direction).
    Pipe {
        /// Which open.
        open: OpenId,
        /// Which way they go.
        way: Way,
        /// The bytes; an empty one tells the end of one message.
        bytes: &'a [u8],
    },
    /// Entries of a directory listing.
    Listed {
        /// The directory.
        open: Option<OpenId>,
        /// Name, size, attributes (FILE_ATTRIBUTE_*), last write time (FILETIME).
        entries: Vec<(String, u64, u32, u64)>,
    },
    /// An encrypted message that could not be opened.
    Sealed {
        /// Its session id as on the wire.
        session: u64,
        /// Its bytes.
        bytes: u64,
        /// Why.
        why: NoPlaintext,
    },
    /// The connection carries messages of the session: told at least once of both.
    Channel {
        /// The session's id on the wire.
        session: u64,
    },
    /// Requests were lost on the way into the capture, or cannot be read: what they asked for, or wrote, is not known. Told of the connection
    /// (without a session), and of each session that it carries.
    RequestsLost,
    /// Something odd, counted: no more is known than its name (`unplaced_read`, `unknown_message`, `resynchronized`, ...).
    Odd {
        /// Its name.
        name: &'static str,
        /// Bytes concerned.
        bytes: u64,
    },
    /// Any other command, for the record: its name as Zeek gives it (`SMB2::QUERY_INFO`), and the answer's status.
    Command {
        /// The name.
        name: &'static str,
        /// The status.
        status: Option<u32>,
        /// When it was asked.
        asked: Timestamp,
    },
}

/// Why an encrypted message is not read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoPlaintext {
    /// No key was given for the session.
    NoKey,
    /// The key does not fit: the tag is wrong.
    WrongKey,
    /// The messages that the keys are derived from are not in the capture.
    LateStart,
}

/// Who listens.
pub trait Listener {
    /// Takes one event.
    fn smb(&mut self, context: &Context, what: &What<'_>);

    /// A session was set up; whether its session key (16 bytes, or 32 of Kerberos with AES-256) is known. `session` is the id as on the
    /// wire, for key lists.
    fn session_key(&mut self, context: &Context, session: u64) -> Option<SessionKeys>;
}

/// What opens a session's encrypted messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionKeys {
    /// The session key: the others are derived from it.
    Session(Vec<u8>),
    /// Both direction keys, as Wireshark's list has them: for messages to the server, and to the client.
    Directions {
        /// Decrypts what the client sends.
        to_server: Vec<u8>,
        /// Decrypts what the server sends.
        to_client: Vec<u8>,
    },
}
