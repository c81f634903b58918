//! Where requests were lost or could not be read: in which session or connection, how often, and since when an open is concerned.
//!
//! Sessions are told apart by their ids on the wire: channels of one session may not be known to belong together (a NEGOTIATE was lost), and
//! what one of them brings late comes after the session's end. Ids of two servers may be the same: then more is doubted than need be.

use super::note::Of;
use crate::flow::ConnectionId;
use crate::smb::event::SessionId;
use crate::time::Timestamp;
use std::collections::HashMap;

/// Sessions and connections that one open is watched in: a client opens no more channels. Beyond it everything counts as lost.
const WATCHED_MAX: usize = 64;

/// Where something was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    /// By its id on the wire.
    Session(u64),
    /// Of SMB1, whose ids are a connection's own.
    OwnSession(SessionId),
    Connection(ConnectionId),
}

/// An open by what its messages say: the session's id on the wire, and the file id.
pub(super) type Key = (u64, Vec<u8>);

/// How often requests were lost, by where.
#[derive(Debug)]
pub(super) struct Losses {
    counts: HashMap<Place, u64>,
    most: usize,
    /// What was lost where there was no more room to remember it.
    elsewhere: u64,
    /// The ids on the wire.
    wire: HashMap<SessionId, u64>,
    /// Of each id the connection that was seen first; `None` once there were several.
    channels: HashMap<u64, Option<ConnectionId>>,
    /// Of each id when requests were lost last, by connection: what one of them brings may be told later than what another one brings that
    /// was captured after it.
    latest: HashMap<u64, Vec<(ConnectionId, Timestamp)>>,
    /// Opens that are used and whose CREATE was not seen, and when that was.
    strays: HashMap<Key, Timestamp>,
}

impl Losses {
    /// None yet; at most so many places, sessions and strays are remembered.
    pub(super) fn up_to(most: usize) -> Losses {
        Losses {
            counts: HashMap::new(),
            most,
            elsewhere: 0,
            wire: HashMap::new(),
            channels: HashMap::new(),
            latest: HashMap::new(),
            strays: HashMap::new(),
        }
    }

    /// A connection carries messages of a session with this id on the wire.
    pub(super) fn channel(&mut self, of: Of, wire: u64) {
        if let Some(session) = of.session
            && (self.wire.len() < self.most || self.wire.contains_key(&session))
        {
            self.wire.insert(session, wire);
        }
        match self.channels.get_mut(&wire) {
            Some(only) if *only != Some(of.connection) => *only = None,
            Some(_) => {}
            None => {
                if self.channels.len() < self.most {
                    self.channels.insert(wire, Some(of.connection));
                }
            }
        }
    }

    /// Whether a session is, or may be, carried by several connections.
    pub(super) fn has_channels(&self, session: Option<SessionId>) -> bool {
        let full = self.channels.len() >= self.most;
        let wire = session.and_then(|session| self.wire.get(&session));
        wire.is_some_and(|wire| self.channels.get(wire).map_or(full, Option::is_none))
    }

    /// Requests were lost.
    pub(super) fn add(&mut self, of: Of) {
        let place = of.session.map_or(Place::Connection(of.connection), |session| self.place(session));
        if self.counts.len() < self.most || self.counts.contains_key(&place) {
            *self.counts.entry(place).or_default() += 1;
        } else {
            self.elsewhere += 1;
        }
        let Place::Session(wire) = place else { return };
        if self.latest.len() >= self.most && !self.latest.contains_key(&wire) {
            return;
        }
        let all = self.latest.entry(wire).or_default();
        if let Some(last) = all.iter_mut().find(|l| l.0 == of.connection) {
            last.1 = last.1.max(of.at.time);
        } else if all.len() < WATCHED_MAX {
            all.push((of.connection, of.at.time));
        } else {
            self.elsewhere += 1;
        }
    }

    /// An open as its messages name it, of SMB2.
    pub(super) fn key(&self, session: Option<SessionId>, file_id: &[u8]) -> Option<Key> {
        Some((*self.wire.get(&session?)?, file_id.to_vec()))
    }

    /// An open is used whose CREATE was not seen, or (`is_stray` is false) one has that key whose CREATE was: what was used before is another.
    pub(super) fn stray(&mut self, key: Key, is_stray: bool, at: Timestamp) {
        if is_stray {
            if self.strays.len() < self.most {
                self.strays.insert(key, at);
            }
        } else if self.strays.get(&key).is_some_and(|used| *used < at) {
            self.strays.remove(&key);
        }
    }

    /// Whether such an open was used.
    pub(super) fn is_stray(&self, key: &Key) -> bool {
        self.strays.contains_key(key)
    }

    fn place(&self, session: SessionId) -> Place {
        self.wire.get(&session).map_or(Place::OwnSession(session), |wire| Place::Session(*wire))
    }

    /// Whether requests of a session were lost on other connections than this one from a time on.
    fn later(&self, place: Place, home: Option<ConnectionId>, from: Timestamp) -> bool {
        let Place::Session(wire) = place else { return false };
        self.latest.get(&wire).is_some_and(|all| all.iter().any(|l| Some(l.0) != home && l.1 >= from))
    }

    /// Whether an id on the wire is known of a session: it is of SMB2.
    pub(super) fn is_known(&self, session: Option<SessionId>) -> bool {
        session.is_some_and(|session| self.wire.contains_key(&session))
    }

    fn count(&self, place: Place) -> u64 {
        self.elsewhere + self.counts.get(&place).copied().unwrap_or(0)
    }
}

/// What was lost in the sessions and connections of one open since it began there, and since a later moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// The place, how much had been lost there when it was first used, and at the moment.
    places: Vec<(Place, u64, u64)>,
    too_many: bool,
    /// The connection that it began on, and the times of that and of the moment.
    home: Option<ConnectionId>,
    began: Timestamp,
    marked: Timestamp,
}

impl Watch {
    /// It is used in a session and a connection.
    pub(super) fn used(&mut self, of: Of, losses: &Losses) {
        if self.home.is_none() {
            self.home = Some(of.connection);
            (self.began, self.marked) = (of.at.time, of.at.time);
        }
        let session = of.session.map(|session| losses.place(session));
        for place in session.into_iter().chain([Place::Connection(of.connection)]) {
            if self.places.iter().any(|p| p.0 == place) {
                continue;
            }
            if self.places.len() == WATCHED_MAX {
                self.too_many = true;
                return;
            }
            let now = losses.count(place);
            self.places.push((place, now, now));
        }
    }

    /// The later moment is now.
    pub(super) fn mark(&mut self, losses: &Losses, at: Timestamp) {
        self.marked = at;
        self.places.iter_mut().for_each(|p| p.2 = losses.count(p.0));
    }

    /// Whether something was lost since it began.
    pub(super) fn any(&self, losses: &Losses) -> bool {
        self.too_many || self.places.iter().any(|p| losses.count(p.0) > p.1 || losses.later(p.0, self.home, self.began))
    }

    /// Whether something was lost since the later moment.
    pub(super) fn any_since_mark(&self, losses: &Losses) -> bool {
        self.too_many || self.places.iter().any(|p| losses.count(p.0) > p.2 || losses.later(p.0, self.home, self.marked))
    }
}
