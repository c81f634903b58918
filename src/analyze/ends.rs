//! Connections as events and objects name them.

use crate::events::Head;
use crate::flow::{Connection, ConnectionId, End};
use crate::time::Timestamp;
use crate::wire::FlowKey;
use std::collections::{HashMap, VecDeque};

/// Connections that are remembered after their end, because a file may be closed over another one of its session.
const REMEMBERED_MAX: usize = 65_536;

/// A connection's names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub head: Head,
    pub community_id: Option<String>,
    pub client: End,
    pub server: End,
    pub key: FlowKey,
    /// Until when a session or tree was last set up over it.
    pub set_up: Timestamp,
}

impl Named {
    pub(super) fn of(connection: &Connection) -> Named {
        let (client, server) = (connection.client, connection.server);
        let head = Head { ts: connection.first.time, uid: connection.uid(), orig: client, resp: server };
        let (community_id, key) = (connection.community_id(), connection.key);
        Named { head, community_id, client, server, key, set_up: connection.first.time }
    }
}

/// Those that may be named.
#[derive(Default)]
pub(super) struct Ends {
    all: HashMap<ConnectionId, Named>,
    order: VecDeque<ConnectionId>,
}

impl Ends {
    /// Remembers one.
    pub(super) fn add(&mut self, connection: &Connection) {
        if self.all.insert(connection.id, Named::of(connection)).is_none() {
            self.order.push_back(connection.id);
        }
        while self.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
        }
    }

    /// A session or tree was set up over it.
    pub(super) fn set_up(&mut self, id: ConnectionId, at: Timestamp) {
        if let Some(named) = self.all.get_mut(&id) {
            named.set_up = named.set_up.max(at);
        }
    }

    /// One that is remembered.
    pub(super) fn of(&self, id: ConnectionId) -> Option<&Named> {
        self.all.get(&id)
    }
}
