//! Writes down what a reader tells, for tests.

use super::event::{Action, Context, Listener, OpenId, SessionKeys, What};
use crate::flow::{PacketRef, Way};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// What was read or written of a file, put together without any cleverness.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Vec<bool>,
}

impl Content {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        let end = at.saturating_add(bytes.len());
        if end > 2 << 20 {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.seen.resize(end, false);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.seen[at..end].fill(true);
    }

    pub(crate) fn whole(&self) -> bool {
        self.seen.iter().all(|s| *s)
    }
}

/// Writes down what it is told.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) said: Vec<(Context, String)>,
    pub(crate) read: BTreeMap<u64, Content>,
    pub(crate) written: BTreeMap<u64, Content>,
    pub(crate) pipes: BTreeMap<(u64, bool), Vec<u8>>,
    pub(crate) names: BTreeMap<u64, String>,
    pub(crate) trees: BTreeMap<u64, String>,
    waiting: BTreeMap<u64, Vec<(u64, Vec<u8>)>>,
}

impl Listener for Log {
    fn smb(&mut self, context: &Context, what: &What<'_>) {
        match what {
            // Which connections a session has is no answer to anything.
            What::Channel { .. } => return,
            What::Data { open, action: Action::Read, offset, bytes, .. } => {
                self.read.entry(open.0).or_default().put(*offset, bytes);
            }
            What::Data { action: Action::Write, offset, bytes, operation, .. } => {
                self.waiting.entry(operation.0).or_default().push((*offset, bytes.to_vec()));
            }
            What::WriteDone { open, operation, written, .. } => {
                for (offset, bytes) in self.waiting.remove(&operation.0).unwrap_or_default() {
                    if *written != Some(0) {
                        self.written.entry(open.0).or_default().put(offset, &bytes);
                    }
                }
            }
            What::Pipe { open, way, bytes } => {
                self.pipes.entry((open.0, *way == Way::ToServer)).or_default().extend(*bytes);
            }
            What::Opened { open: OpenId(id), file } => {
                if let Some(name) = &file.name {
                    self.names.insert(*id, name.clone());
                }
            }
            What::TreeConnected { path, .. } => {
                self.trees.insert(context.tree.unwrap().0, path.clone());
            }
            _ => {}
        }
        self.said.push((*context, format!("{what:?}")));
    }

    fn session_key(&mut self, _: &Context, _: u64) -> Option<SessionKeys> {
        None
    }
}

impl Log {
    /// The events that begin so, without their contexts.
    pub(crate) fn events(&self, begin: &str) -> Vec<&str> {
        self.said.iter().map(|s| s.1.as_str()).filter(|s| s.starts_with(begin)).collect()
    }

    /// How many events begin so.
    pub(crate) fn count(&self, begin: &str) -> usize {
        self.events(begin).len()
    }
}

/// A packet by its number.
pub(crate) fn packet(number: u64) -> PacketRef {
    PacketRef { time: Timestamp::from_nanos(number * 1000), number, source: 0, position: number * 100 }
}
