//! Requests that wait for their answers.

use crate::flow::PacketRef;
use crate::smb::crypt::Preauth;
use crate::smb::event::{OpenId, OperationId, TreeId};
use crate::smb::shared::SessionKey;
use std::collections::HashMap;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Whatever needs no more than its name.
    Other,
    Negotiate,
    SessionSetup {
        /// The running hash after the request (3.1.1).
        preauth: Option<Preauth>,
        /// A channel is bound to a session.
        binding: bool,
        /// The token of a request that has no session id yet.
        token: Vec<u8>,
    },
    TreeConnect {
        path: String,
    },
    Create(Box<AskedCreate>),
    Close {
        open: Option<OpenId>,
        file_id: [u8; 16],
    },
    Read {
        open: OpenId,
        operation: OperationId,
        offset: u64,
        length: u64,
        is_pipe: bool,
    },
    Write {
        open: OpenId,
        operation: OperationId,
        offset: u64,
        sent: u64,
        is_pipe: bool,
    },
    Ioctl {
        open: Option<OpenId>,
        fsctl: u32,
        input: IoctlInput,
    },
    QueryInfo {
        open: Option<OpenId>,
        class: (u8, u8),
    },
    QueryDirectory {
        open: Option<OpenId>,
        class: u8,
    },
    SetInfo {
        open: Option<OpenId>,
        set: Set,
    },
    /// A direct-memory READ or WRITE, whose bytes go another way.
    Remote,
}

/// What a CREATE asks for.
#[derive(Clone, Debug)]
pub(super) struct AskedCreate {
    pub open: OpenId,
    pub path: String,
    pub access: u32,
    pub disposition: u32,
    pub options: u32,
    /// The file id of a durable reconnect.
    pub reconnect: Option<[u8; 16]>,
    /// It was told before its answer, because something of it came along.
    pub told: bool,
}

/// What an FSCTL's input says.
#[derive(Clone, Debug)]
pub(super) enum IoctlInput {
    None,
    /// Pipe transceive: the bytes were told.
    Transceive,
    /// Ranges that the server copies, from the open of a resume key, or of a file id.
    Copy {
        key: Option<[u8; 24]>,
        source: Option<[u8; 16]>,
        ranges: Vec<(u64, u64)>,
    },
    /// A range that is zeroed.
    Zero {
        from: u64,
        to: u64,
    },
}

/// What a SET_INFO sets.
#[derive(Clone, Debug)]
pub(super) enum Set {
    EndOfFile(u64),
    Rename(String),
    Delete(bool),
    Other,
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub asked: Asked,
    pub at: PacketRef,
    pub session: SessionKey,
    pub tree: Option<TreeId>,
}

/// The requests of a connection that wait, by message id.
#[derive(Default, Debug)]
pub(super) struct Waiting {
    all: HashMap<u64, Pending>,
}

impl Waiting {
    /// Adds one; one that had its number, or the oldest where there are too many, comes back: it will get no answer.
    pub(super) fn add(&mut self, message_id: u64, pending: Pending, most: usize) -> Option<Pending> {
        let mut gone = self.all.insert(message_id, pending);
        if self.all.len() > most
            && let Some(oldest) = self.all.iter().min_by_key(|(id, p)| (p.at, **id)).map(|(id, _)| *id)
        {
            gone = self.all.remove(&oldest);
        }
        gone
    }

    /// The CREATE of an open that waits for its answer.
    pub(super) fn create_mut(&mut self, open: OpenId) -> Option<&mut AskedCreate> {
        self.all.values_mut().find_map(|p| match &mut p.asked {
            Asked::Create(asked) if asked.open == open => Some(&mut **asked),
            _ => None,
        })
    }

    /// Takes out the WRITEs of an open, in the order they came.
    pub(super) fn take_writes(&mut self, of: OpenId) -> Vec<Pending> {
        let is_its = |p: &Pending| matches!(p.asked, Asked::Write { open, .. } if open == of);
        let mut ids: Vec<u64> = self.all.iter().filter(|(_, p)| is_its(p)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.iter().filter_map(|id| self.all.remove(id)).collect()
    }

    /// Takes out the request of an answer.
    pub(super) fn take(&mut self, message_id: u64) -> Option<Pending> {
        self.all.remove(&message_id)
    }

    /// All that wait, in the order they came.
    pub(super) fn drain(&mut self) -> Vec<Pending> {
        let mut all: Vec<(u64, Pending)> = self.all.drain().collect();
        all.sort_by_key(|(id, p)| (p.at, *id));
        all.into_iter().map(|(_, p)| p).collect()
    }
}
