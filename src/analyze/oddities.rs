//! What was odd, hit a limit, or could not be opened: counted by name, and told once a connection or session.

use super::ends::Ends;
use super::terms::Totals;
use crate::events::Event;
use crate::events::head::Head;
use crate::events::smb_sealed::SmbSealed;
use crate::events::weird::Weird;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::NoPlaintext;
use std::collections::{HashMap, HashSet};

/// Names that connections have told. 65,536: some MiB; further ones are only counted.
const TOLD_MAX: usize = 65_536;
/// Sessions whose sealed messages are told apart. 65,536: some MiB; those of further ones are only counted.
const SEALED_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(super) struct Oddities {
    told: HashSet<(ConnectionId, &'static str)>,
    sealed: HashMap<(String, u64, NoPlaintext), usize>,
    rows: Vec<SmbSealed>,
}

/// The reason's name.
pub(super) fn why(why: NoPlaintext) -> &'static str {
    match why {
        NoPlaintext::NoKey => "no_key",
        NoPlaintext::WrongKey => "wrong_key",
        NoPlaintext::LateStart => "late_start",
    }
}

impl Oddities {
    /// Counts something odd; gives an event where its connection has not told it yet.
    pub(super) fn odd(
        &mut self,
        totals: &mut Totals,
        name: &'static str,
        bytes: u64,
        of: Option<(ConnectionId, Head)>,
    ) -> Option<Event> {
        let count = totals.odd.entry(name).or_default();
        count.0 += 1;
        count.1 = count.1.saturating_add(bytes);
        let (connection, head) = of?;
        let is_new = self.told.len() < TOLD_MAX && self.told.insert((connection, name));
        is_new.then(|| {
            let addl = Some(format!("{bytes} bytes")).filter(|_| bytes > 0);
            Event::Weird(Box::new(Weird { head, name, addl, notice: false }))
        })
    }

    /// Whether a connection may still tell this name.
    pub(super) fn is_new(&self, connection: ConnectionId, name: &'static str) -> bool {
        self.told.len() < TOLD_MAX && !self.told.contains(&(connection, name))
    }

    /// Counts a message that could not be opened.
    pub(super) fn sealed(
        &mut self,
        totals: &mut Totals,
        (session, bytes, reason): (u64, u64, NoPlaintext),
        (connection, at): (ConnectionId, PacketRef),
        ends: &Ends,
    ) {
        let count = totals.sealed.entry(why(reason)).or_default();
        count.0 += 1;
        count.1 = count.1.saturating_add(bytes);
        let Some(named) = ends.of(connection) else { return };
        // The ids of two servers' sessions may be the same.
        let key = (named.head.resp.ip.to_string(), session, reason);
        let row = match self.sealed.get(&key) {
            Some(row) => *row,
            None if self.rows.len() >= SEALED_MAX => return,
            None => {
                let head = named.head.at(at.time);
                let session_id = format!("{session:#018x}");
                self.rows.push(SmbSealed { head, session_id, why: why(reason), messages: 0, bytes: 0 });
                self.sealed.insert(key, self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        if let Some(row) = self.rows.get_mut(row) {
            row.messages += 1;
            row.bytes = row.bytes.saturating_add(bytes);
        }
    }

    /// The sessions that had such messages, in the order in which they came.
    pub(super) fn end(&mut self) -> Vec<Event> {
        self.sealed.clear();
        std::mem::take(&mut self.rows).into_iter().map(|row| Event::SmbSealed(Box::new(row))).collect()
    }
}
