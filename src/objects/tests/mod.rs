//! What forms, against what should.

mod corpus;
mod export;
mod model;
mod rules;
mod store;

use super::collector::{ObjectOptions, Objects};
use super::hashing::Hashes;
use super::limits::Limits;
use super::missing::Why;
use super::transfer::Transfer;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::{Action, Context, OpenId, Opened, OperationId, SessionId, SizeFrom, What};
use crate::time::Timestamp;
use sha2::Digest as _;

pub(super) const OPEN: OpenId = OpenId(1);

/// Tells events, one packet each.
pub(super) struct Script {
    pub(super) objects: Objects,
    pub(super) folder: tempfile::TempDir,
    packet: u64,
    operation: u64,
}

impl Script {
    pub(super) fn new() -> Script {
        Script::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Script {
        Script::made(|options| options.limits = limits)
    }

    pub(super) fn made(change: impl FnOnce(&mut ObjectOptions)) -> Script {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ObjectOptions {
            folder: folder.path().to_owned(),
            limits: Limits::default(),
            hashes: Hashes { md5: true, sha1: true },
            provenance: false,
            keep_contents: true,
            window: None,
        };
        change(&mut options);
        Script { objects: Objects::new(options).unwrap(), folder, packet: 0, operation: 0 }
    }

    pub(super) fn tell(&mut self, what: &What<'_>) {
        self.tell_on(0, Some(9), what);
    }

    /// Tells an event of a connection and a session.
    pub(super) fn tell_on(&mut self, connection: u64, session: Option<u64>, what: &What<'_>) {
        self.packet += 1;
        let context = Context {
            connection: ConnectionId(connection),
            at: PacketRef {
                time: Timestamp::from_nanos(self.packet * 1_000),
                number: self.packet,
                source: 0,
                position: self.packet * 100,
            },
            session: session.map(SessionId),
            tree: None,
            encrypted: false,
            compressed: false,
        };
        self.objects.take(&context, what).unwrap();
    }

    /// So many microseconds pass.
    pub(super) fn pass(&mut self, microseconds: u64) {
        self.packet += microseconds;
    }

    pub(super) fn opened(&mut self, open: OpenId, create_action: u32, size: u64) {
        let file = Opened {
            name: Some(String::from("dir\\file.bin")),
            create_action: Some(create_action),
            access: Some(3),
            size: Some(size),
            answered: true,
            ..Opened::default()
        };
        self.tell(&What::Opened { open, file });
    }

    pub(super) fn operation(&mut self) -> OperationId {
        self.operation += 1;
        OperationId(self.operation)
    }

    pub(super) fn data(&mut self, open: OpenId, action: Action, operation: OperationId, offset: u64, bytes: &[u8]) {
        self.tell(&What::Data { open, action, operation, offset, bytes });
    }

    pub(super) fn read(&mut self, open: OpenId, offset: u64, bytes: &[u8]) {
        let operation = self.operation();
        self.tell(&What::ReadAsked { open, operation, offset, length: bytes.len() as u64 });
        self.data(open, Action::Read, operation, offset, bytes);
        let given = bytes.len() as u64;
        self.tell(&What::ReadDone { open, operation, offset, asked: Some(given), given, status: 0 });
    }

    pub(super) fn end_of_file(&mut self, open: OpenId, offset: u64) {
        let operation = self.operation();
        self.tell(&What::ReadAsked { open, operation, offset, length: 10 });
        self.tell(&What::ReadDone { open, operation, offset, asked: Some(10), given: 0, status: 0xC000_0011 });
    }

    pub(super) fn write(&mut self, open: OpenId, offset: u64, bytes: &[u8]) {
        let operation = self.operation();
        self.data(open, Action::Write, operation, offset, bytes);
        self.written(open, operation, offset, bytes.len() as u64, Some(bytes.len() as u64));
    }

    pub(super) fn written(&mut self, open: OpenId, operation: OperationId, offset: u64, sent: u64, written: Option<u64>) {
        self.tell(&What::WriteDone { open, operation, offset, sent, written });
    }

    pub(super) fn size(&mut self, open: OpenId, size: u64, from: SizeFrom) {
        self.tell(&What::Size { open, size, from });
    }

    pub(super) fn close(&mut self, open: OpenId) {
        self.tell(&What::Closed { open, status: Some(0), by_close: true });
    }

    pub(super) fn end(self) -> (Vec<Transfer>, tempfile::TempDir) {
        let mut rest = Vec::new();
        self.objects.end(|transfer| rest.push(transfer)).unwrap();
        (rest, self.folder)
    }

    pub(super) fn only(self) -> (Transfer, tempfile::TempDir) {
        let (mut all, folder) = self.end();
        assert_eq!(all.len(), 1, "{all:#?}");
        (all.remove(0), folder)
    }
}

/// A transfer as a model sees it: each byte, where it was seen.
pub(super) fn bytes_of(transfer: &Transfer) -> Vec<Option<u8>> {
    let stored = std::fs::read(transfer.content.stored.as_ref().unwrap()).unwrap();
    let mut bytes = vec![None; transfer.content.seen.last().map_or(0, |s| s.1) as usize];
    let mut hash = sha2::Sha256::new();
    for (from, to) in &transfer.content.seen {
        for at in *from..*to {
            bytes[at as usize] = Some(stored[at as usize]);
        }
        hash.update(&stored[*from as usize..*to as usize]);
    }
    assert_eq!(hex::encode(hash.finalize()), transfer.content.sha256_seen, "the hash is of what is stored");
    assert_eq!(transfer.seen_bytes, transfer.content.seen.iter().map(|s| s.1 - s.0).sum::<u64>());
    assert_eq!(transfer.content.sha256.is_some(), transfer.complete);
    for (at, byte) in stored.iter().enumerate() {
        assert!(bytes.get(at).is_some_and(Option::is_some) || *byte == 0, "unseen bytes are zero");
    }
    bytes
}

/// What is missing, shortly.
pub(super) fn missing(transfer: &Transfer) -> Vec<(u64, u64, Why)> {
    transfer.missing.iter().map(|m| (m.from, m.to, m.why)).collect()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}
