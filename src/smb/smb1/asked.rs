//! What a request asked for: kept until its answer comes.

use super::header::Header;
use super::transaction::Gathering;
use crate::flow::{PacketRef, Way};
use crate::smb::event::{OpenId, OperationId, SessionId, TreeId};

/// WRITE_RAW.
pub(super) const WRITE_RAW: u8 = 0x1D;
/// The final answer to WRITE_RAW.
pub(super) const WRITE_COMPLETE: u8 = 0x20;

/// A request that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// Its header.
    pub(super) header: Header,
    /// Which way it goes.
    pub(super) way: Way,
    /// The packet in which it began.
    pub(super) at: PacketRef,
    /// What an earlier command of the same message opens: later ones mean that, whatever file id they give ([MS-CIFS] 2.2.3.4).
    pub(super) chained: Option<OpenId>,
}

/// One command of a request.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Nothing is known of its answer but the status.
    Other {
        /// The name for the record.
        name: &'static str,
    },
    /// Not even that is told.
    Quiet,
    /// NEGOTIATE.
    Negotiate {
        /// The dialects' names, in order.
        dialects: Vec<String>,
    },
    /// SESSION_SETUP_ANDX.
    SetUp {
        /// The session that it is for.
        session: SessionId,
        /// User and domain, where it had no token.
        plain: Option<(String, String)>,
    },
    /// LOGOFF_ANDX.
    LogOff,
    /// TREE_CONNECT and TREE_CONNECT_ANDX.
    TreeConnect {
        /// `\\server\share`.
        path: String,
        /// The service that was asked for.
        service: String,
    },
    /// TREE_DISCONNECT.
    TreeDisconnect,
    /// The open family.
    Open(OpenAsked),
    /// The read family.
    Read(ReadAsked),
    /// The write family.
    Write(WriteAsked),
    /// CLOSE and CLOSE_AND_TREE_DISC.
    Close {
        /// What is closed.
        open: Option<OpenId>,
        /// The tree too.
        tree: bool,
    },
    /// DELETE and DELETE_DIRECTORY.
    Delete {
        /// The name.
        name: String,
    },
    /// RENAME and NT_RENAME.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// QUERY_INFORMATION2, of an open; QUERY_INFORMATION, of a name.
    Query(Target),
    /// PROCESS_EXIT.
    Exit,
    /// A transaction.
    Transaction(Box<TransactionAsked>),
}

/// What a query or a change is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// An open.
    Open(Option<OpenId>),
    /// A name relative to the share.
    Name(String),
}

/// An open that was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenAsked {
    /// The path.
    pub(super) path: String,
    /// DesiredAccess, or what an access mode means as one.
    pub(super) access: Option<u32>,
    /// CreateDisposition, or what an open mode means as one.
    pub(super) disposition: Option<u32>,
    /// CreateOptions.
    pub(super) options: Option<u32>,
    /// The open, where a later command of the same message used it before the answer came.
    pub(super) open: Option<OpenId>,
}

/// A read that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAsked {
    /// Of what.
    pub(super) open: OpenId,
    /// Its number.
    pub(super) operation: OperationId,
    /// From where.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) length: u64,
    /// The open was known to be a pipe then.
    pub(super) pipe: bool,
    /// Bytes given by earlier messages of the answer (READ_MPX).
    pub(super) given: u64,
}

/// A write that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteAsked {
    /// To what.
    pub(super) open: OpenId,
    /// Its number.
    pub(super) operation: OperationId,
    /// To where.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) sent: u64,
    /// The open was known to be a pipe then.
    pub(super) pipe: bool,
    /// WRITE_AND_CLOSE.
    pub(super) closes: bool,
    /// WRITE of no bytes: the file ends at `offset` then ([MS-CIFS] 2.2.4.12).
    pub(super) sets_end: bool,
    /// WRITE_MPX's request mask.
    pub(super) mask: u32,
    /// WRITE_RAW in write-through mode, and every other write: an answer tells what was written.
    pub(super) confirmed: bool,
}

/// A transaction that was asked for.
#[derive(Clone, Debug)]
pub(super) struct TransactionAsked {
    /// The name of the pipe or mailslot (TRANSACTION alone).
    pub(super) name: String,
    /// The request, until it is whole.
    pub(super) request: Gathering,
    /// The request is whole, and was read.
    pub(super) read: bool,
    /// What it asks, once it was read.
    pub(super) action: Transacted,
    /// The answer, as far as it came.
    pub(super) answer: Gathering,
}

/// What a transaction asks.
#[derive(Clone, Debug)]
pub(super) enum Transacted {
    /// Something whose answer tells nothing here.
    Other,
    /// TransactNmPipe and RawReadNmPipe: the answer's data come from the pipe.
    Pipe(OpenId),
    /// CallNmPipe: the same, and the pipe is closed then.
    Call(OpenId),
    /// TRANS2_OPEN2 and NT_TRANSACT_CREATE.
    Open(OpenAsked),
    /// FIND_FIRST2 and FIND_NEXT2, with level and flags.
    Find {
        /// Information level.
        level: u16,
        /// The entries have resume keys.
        resume_keys: bool,
    },
    /// QUERY_PATH_INFORMATION and QUERY_FILE_INFORMATION.
    Query {
        /// Of what.
        target: Target,
        /// Information level.
        level: u16,
    },
    /// The end of file is set.
    SetEnd {
        /// Of what.
        target: Target,
        /// To where.
        size: u64,
    },
    /// It is deleted.
    Delete {
        /// What.
        target: Target,
    },
    /// It is renamed.
    Rename {
        /// What.
        target: Target,
        /// To which name relative to the share.
        to: String,
    },
    /// The server is to zero a range, or to copy ranges: source, offset, length.
    ServerCopy {
        /// Into what.
        open: OpenId,
        /// FSCTL code.
        fsctl: u32,
        /// From what, to where, how many bytes.
        ranges: Vec<(Option<OpenId>, u64, u64)>,
    },
    /// A resume key for server-side copies is asked for.
    ResumeKey(OpenId),
}

/// A command that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its code.
    pub(super) command: u8,
    /// What it asked.
    pub(super) asked: Asked,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The packet in which it ended.
    pub(super) at: PacketRef,
    /// Its session.
    pub(super) session: Option<SessionId>,
    /// Its tree.
    pub(super) tree: Option<TreeId>,
    /// Its commands, in order.
    pub(super) parts: Vec<Part>,
    /// Messages to the server, and to the client, were lost since.
    pub(super) lost: [bool; 2],
}

impl Pending {
    /// Whether an answer that begins with this command is one to it.
    pub(super) fn answered_by(&self, command: u8) -> bool {
        self.parts.first().is_some_and(|p| p.command == command || (command == WRITE_COMPLETE && p.command == WRITE_RAW))
    }

    /// Bytes it holds on to, roughly.
    pub(super) fn weight(&self) -> usize {
        self.parts.iter().map(|p| 64 + p.asked.weight()).sum()
    }
}

impl Asked {
    fn weight(&self) -> usize {
        match self {
            Asked::Negotiate { dialects } => dialects.iter().map(|d| d.len() + 24).sum(),
            Asked::SetUp { plain: Some((user, domain)), .. } => user.len() + domain.len(),
            Asked::TreeConnect { path, service } => path.len() + service.len(),
            Asked::Open(o) => o.path.len(),
            Asked::Delete { name } | Asked::Query(Target::Name(name)) => name.len(),
            Asked::Rename { from, to } => from.len() + to.len(),
            Asked::Transaction(t) => {
                let action = match &t.action {
                    Transacted::Open(o) => o.path.len(),
                    Transacted::Query { target, .. } | Transacted::SetEnd { target, .. } | Transacted::Delete { target } => {
                        target.weight()
                    }
                    Transacted::Rename { target, to } => target.weight() + to.len(),
                    Transacted::ServerCopy { ranges, .. } => ranges.len() * 32,
                    _ => 0,
                };
                512 + t.name.len() + t.request.weight() + t.answer.weight() + action
            }
            _ => 0,
        }
    }
}

impl Target {
    fn weight(&self) -> usize {
        match self {
            Target::Open(_) => 0,
            Target::Name(name) => name.len(),
        }
    }
}
