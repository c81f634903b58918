//! Where the packets of opens are: their connections, and when.

use super::ends::Ends;
use crate::flow::ConnectionId;
use crate::smb::event::OpenId;
use crate::time::{Timestamp, Window};
use crate::wire::FlowKey;
use std::collections::{HashMap, VecDeque};

/// Connections that one open is told of: a session has no more channels.
const CARRIERS_MAX: usize = 64;
/// Closed opens whose transfers are still on their way.
const CLOSED_MAX: usize = 65_536;

/// Of an open that is not closed yet.
#[derive(Default)]
struct Carried {
    carriers: Vec<(ConnectionId, Timestamp)>,
    from: Option<Timestamp>,
}

/// Of all opens.
#[derive(Default)]
pub(super) struct OpenStretches {
    open: HashMap<OpenId, Carried>,
    /// The open that was told last: the next word is of its request.
    last: Option<OpenId>,
    closed: HashMap<OpenId, Vec<(FlowKey, Window)>>,
    order: VecDeque<OpenId>,
}

impl OpenStretches {
    /// Something of an open came over a connection.
    pub(super) fn came(&mut self, id: OpenId, connection: ConnectionId, at: Timestamp, ends: &Ends) {
        let carried = self.open.entry(id).or_default();
        carried.from = Some(carried.from.map_or(at, |from| from.min(at)));
        if carried.carriers.len() < CARRIERS_MAX && !carried.carriers.iter().any(|c| c.0 == connection) {
            let set_up = ends.of(connection).map_or(at, |n| n.set_up);
            carried.carriers.push((connection, set_up));
        }
        self.last = Some(id);
    }

    /// The request whose answer was just told was made then.
    pub(super) fn asked(&mut self, at: Timestamp) {
        if let Some(carried) = self.last.take().and_then(|id| self.open.get_mut(&id))
            && at > Timestamp::ZERO
        {
            carried.from = Some(carried.from.map_or(at, |from| from.min(at)));
        }
    }

    /// It is closed.
    pub(super) fn close(&mut self, id: OpenId, at: Timestamp, ends: &Ends) {
        let Some(carried) = self.open.remove(&id) else { return };
        let mut all = Vec::new();
        for (connection, set_up) in carried.carriers {
            let Some(named) = ends.of(connection) else { continue };
            let after = |t: Timestamp| t.saturating_add(1);
            all.push((named.key, Window { from: named.head.ts, to: after(set_up) }));
            all.push((named.key, Window { from: carried.from.unwrap_or(at), to: after(at) }));
        }
        if self.order.len() == CLOSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        self.order.push_back(id);
        self.closed.insert(id, all);
    }

    /// Of a transfer's open.
    pub(super) fn of(&self, id: OpenId) -> Vec<(FlowKey, Window)> {
        self.closed.get(&id).cloned().unwrap_or_default()
    }
}
