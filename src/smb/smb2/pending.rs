//! Requests that wait for their answers.

use crate::flow::PacketRef;
use crate::smb::crypt::Preauth;
use crate::smb::event::{OpenId, OperationId, TreeId};
use crate::smb::shared::SessionKey;
use std::collections::{BTreeMap, HashMap, VecDeque};

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

impl Pending {
    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        let apart = match &self.asked {
            Asked::SessionSetup { token, .. } => token.capacity(),
            Asked::TreeConnect { path } => path.capacity(),
            Asked::Create(asked) => size_of::<AskedCreate>() + asked.path.capacity(),
            Asked::Ioctl { input: IoctlInput::Copy { ranges, .. }, .. } => ranges.capacity() * size_of::<(u64, u64)>(),
            Asked::SetInfo { set: Set::Rename(to), .. } => to.capacity(),
            _ => 0,
        };
        // Besides itself its places by open and in the order.
        apart + size_of::<(u64, u64, Pending)>() + 64
    }

    /// The open that it creates or writes to.
    fn open(&self) -> Option<OpenId> {
        match &self.asked {
            Asked::Create(asked) => Some(asked.open),
            Asked::Write { open, .. } => Some(*open),
            _ => None,
        }
    }
}

/// The requests of a connection that wait, by message id.
#[derive(Default, Debug)]
pub(super) struct Waiting {
    all: HashMap<u64, (u64, Pending)>,
    /// Message ids in the order they came, each with its place in it; of those that wait no more some are left.
    order: VecDeque<(u64, u64)>,
    /// Message ids of the CREATEs and WRITEs, by open and place.
    of_open: BTreeMap<(OpenId, u64), u64>,
    next: u64,
    /// Bytes that they take.
    bytes: usize,
}

/// Places that may be left in the order, besides one for each that waits: it is not gone through at each answer.
const LEFT_MAX: usize = 64;

impl Waiting {
    /// Adds one; one that had its number, or the oldest where there are too many, comes back: it will get no answer.
    pub(super) fn add(&mut self, message_id: u64, pending: Pending, most: usize) -> Option<Pending> {
        let mut gone = self.take(message_id);
        self.next += 1;
        if let Some(open) = pending.open() {
            self.of_open.insert((open, self.next), message_id);
        }
        self.bytes += pending.bytes();
        self.all.insert(message_id, (self.next, pending));
        self.order.push_back((self.next, message_id));
        while self.all.len() > most {
            let (place, oldest) = self.order.pop_front()?;
            if self.waits(place, oldest) {
                gone = self.take(oldest);
            }
        }
        if self.order.len() > 2 * self.all.len() + LEFT_MAX {
            let all = &self.all;
            self.order.retain(|(place, id)| all.get(id).is_some_and(|p| p.0 == *place));
        }
        gone
    }

    fn waits(&self, place: u64, message_id: u64) -> bool {
        self.all.get(&message_id).is_some_and(|p| p.0 == place)
    }

    /// Message ids of what waits for an open, in the order they came.
    fn of_open(&self, open: OpenId) -> impl Iterator<Item = u64> {
        self.of_open.range((open, 0)..=(open, u64::MAX)).map(|(_, id)| *id)
    }

    /// The CREATE of an open that waits for its answer.
    pub(super) fn create_mut(&mut self, open: OpenId) -> Option<&mut AskedCreate> {
        // It is the first that can name its open.
        let id = self.of_open(open).next()?;
        match &mut self.all.get_mut(&id)?.1.asked {
            Asked::Create(asked) => Some(&mut **asked),
            _ => None,
        }
    }

    /// Takes out the WRITEs of an open, in the order they came.
    pub(super) fn take_writes(&mut self, open: OpenId) -> Vec<Pending> {
        let is_write = |id: &u64| self.all.get(id).is_some_and(|p| matches!(p.1.asked, Asked::Write { .. }));
        let ids: Vec<u64> = self.of_open(open).filter(is_write).collect();
        ids.iter().filter_map(|id| self.take(*id)).collect()
    }

    /// Takes out a request for which a test holds.
    pub(super) fn take_if(&mut self, message_id: u64, test: impl Fn(&Pending) -> bool) -> Option<Pending> {
        self.all.get(&message_id).filter(|p| test(&p.1))?;
        self.take(message_id)
    }

    /// Takes out the request of an answer.
    pub(super) fn take(&mut self, message_id: u64) -> Option<Pending> {
        let (place, pending) = self.all.remove(&message_id)?;
        self.bytes -= pending.bytes();
        if let Some(open) = pending.open() {
            self.of_open.remove(&(open, place));
        }
        Some(pending)
    }

    /// Bytes that are kept.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// All that wait, in the order they came.
    pub(super) fn drain(&mut self) -> Vec<Pending> {
        let Waiting { all, .. } = std::mem::take(self);
        let mut all: Vec<(u64, Pending)> = all.into_values().collect();
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, p)| p).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smb::shared::Shared;
    use std::net::Ipv4Addr;

    fn pending(number: u64) -> Pending {
        let server = Shared::default().server_at(Ipv4Addr::LOCALHOST.into());
        Pending { asked: Asked::Other, at: PacketRef { number, ..PacketRef::default() }, session: (server, 1), tree: None }
    }

    #[test]
    fn the_oldest_make_room() {
        let mut waiting = Waiting::default();
        let mut gone = Vec::new();
        for id in 0..5 {
            gone.extend(waiting.add(id, pending(id), 3).map(|p| p.at.number));
        }
        assert_eq!(gone, [0, 1]);
        // One that was answered does not count, and one whose number is taken again comes back.
        assert!(waiting.take(3).is_some());
        assert!(waiting.add(5, pending(5), 3).is_none());
        assert_eq!(waiting.add(2, pending(6), 3).map(|p| p.at.number), Some(2));
        assert_eq!(waiting.add(7, pending(7), 3).map(|p| p.at.number), Some(4));
        assert_eq!(waiting.drain().iter().map(|p| p.at.number).collect::<Vec<_>>(), [5, 6, 7]);
    }

    #[test]
    fn answered_and_unanswered_requests_cost_no_search() {
        let mut waiting = Waiting::default();
        for id in 0..1_000_000 {
            waiting.add(id, pending(id), 16_384);
            if id % 2 == 0 {
                waiting.take(id);
            }
            assert!(waiting.order.len() <= 2 * 16_385 + LEFT_MAX);
        }
        assert_eq!(waiting.all.len(), 16_384);
    }
}
