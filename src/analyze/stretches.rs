//! Where the packets of opens are: their connections, and when.

use super::ends::Ends;
use crate::flow::ConnectionId;
use crate::smb::event::{OpenId, SessionId};
use crate::time::{Timestamp, Window};
use crate::wire::FlowKey;
use std::collections::{HashMap, VecDeque};

/// Connections that one open is told of, and channels of a session: it has no more.
const CARRIERS_MAX: usize = 64;
/// Sessions whose channels are remembered; as many as SMB itself keeps.
const SESSIONS_MAX: usize = 65_536;
/// Closed opens whose transfers are still on their way.
const CLOSED_MAX: usize = 65_536;

/// Of an open that is not closed yet.
#[derive(Default)]
struct Carried {
    carriers: Vec<(ConnectionId, Timestamp)>,
    from: Option<Timestamp>,
    session: Option<SessionId>,
}

/// The connections that an open's messages came over, and its stretches.
type Told = (Vec<FlowKey>, Vec<(FlowKey, Window)>);

/// Of all opens.
#[derive(Default)]
pub(super) struct OpenStretches {
    open: HashMap<OpenId, Carried>,
    /// The open that was told last: the next word is of its request.
    last: Option<OpenId>,
    closed: HashMap<OpenId, Told>,
    order: VecDeque<OpenId>,
    /// The connections of each session: what concerns an open may go over any of them, and another program joins them by their set-up.
    channels: HashMap<SessionId, Vec<ConnectionId>>,
}

impl OpenStretches {
    /// Something of an open came over a connection.
    pub(super) fn came(
        &mut self,
        id: OpenId,
        session: Option<SessionId>,
        (connection, at): (ConnectionId, Timestamp),
        ends: &Ends,
    ) {
        let carried = self.open.entry(id).or_default();
        carried.session = carried.session.or(session);
        carried.from = Some(carried.from.map_or(at, |from| from.min(at)));
        if carried.carriers.len() < CARRIERS_MAX && !carried.carriers.iter().any(|c| c.0 == connection) {
            let set_up = ends.of(connection).map_or(at, |n| n.set_up);
            carried.carriers.push((connection, set_up));
        }
        self.last = Some(id);
    }

    /// A session was set up over a connection, or another channel of it.
    pub(super) fn channel(&mut self, session: SessionId, connection: ConnectionId) {
        if self.channels.len() >= SESSIONS_MAX && !self.channels.contains_key(&session) {
            return;
        }
        let channels = self.channels.entry(session).or_default();
        if channels.len() < CARRIERS_MAX && !channels.contains(&connection) {
            channels.push(connection);
        }
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
        let Some(mut carried) = self.open.remove(&id) else { return };
        let carriers = carried.carriers.iter().filter_map(|c| ends.of(c.0).map(|n| n.key)).collect();
        let channels = carried.session.and_then(|session| self.channels.get(&session));
        for connection in channels.into_iter().flatten() {
            if !carried.carriers.iter().any(|c| c.0 == *connection) {
                let set_up = ends.of(*connection).map_or(at, |n| n.set_up);
                carried.carriers.push((*connection, set_up));
            }
        }
        let is_shared = channels.is_some_and(|c| c.len() > 1);
        let mut all = Vec::new();
        for (connection, set_up) in carried.carriers {
            let Some(named) = ends.of(connection) else { continue };
            let after = |t: Timestamp| t.saturating_add(1);
            if is_shared {
                // Whoever reads waits at a hole, while the other channels go on: a file would be closed before it was opened.
                all.push((named.key, Window { from: named.head.ts, to: after(at) }));
                continue;
            }
            all.push((named.key, Window { from: named.head.ts, to: after(set_up) }));
            all.push((named.key, Window { from: carried.from.unwrap_or(at), to: after(at) }));
        }
        if self.order.len() == CLOSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        self.order.push_back(id);
        self.closed.insert(id, (carriers, all));
    }

    /// Of a transfer's open.
    pub(super) fn of(&self, id: OpenId) -> Told {
        self.closed.get(&id).cloned().unwrap_or_default()
    }
}
