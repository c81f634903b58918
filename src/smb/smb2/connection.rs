//! One connection: which message is of which command, compounds, and what is being streamed.

use super::header::{HEADER_LEN, Header, STATUS_PENDING, command};
use super::pending::Asked;
use super::state::{Part, State, Tools, unanswered};
use super::streamed::Streamed;
use super::{close, create, info, ioctl, negotiate, read, session, tree, write};
use crate::flow::{PacketRef, Way};
use crate::smb::event::{OpenId, What};
use crate::smb::reader::{Message, Shape};
use crate::smb::shared::Server;
use std::collections::HashMap;
use std::net::IpAddr;

/// A connection.
#[derive(Debug)]
pub(in crate::smb) struct Smb2 {
    pub(super) state: State,
    /// What is streamed, a way.
    streaming: [Option<Streamed>; 2],
}

fn side(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

impl Smb2 {
    /// Of a connection to a server, whose beginning was not seen where `late_start` says so.
    pub(in crate::smb) fn new(address: IpAddr, server: Server, late_start: bool) -> Smb2 {
        Smb2 { state: State::new(address, server, late_start), streaming: [None, None] }
    }

    /// Whether it carried messages of a session.
    pub(in crate::smb) fn has_session(&self) -> bool {
        !self.state.sessions().is_empty()
    }

    /// Requests were lost, or cannot be read.
    pub(in crate::smb) fn requests_lost(&mut self, tools: &mut Tools<'_>) {
        self.state.requests_lost(tools);
    }

    /// The sessions that it carried, as on the wire.
    pub(in crate::smb) fn sessions(&self) -> &[u64] {
        self.state.sessions()
    }

    /// What is wanted of a message.
    pub(in crate::smb) fn shape(&self, head: &[u8], total: u64) -> Shape {
        if total < HEADER_LEN as u64 {
            return Shape::Pass;
        }
        if head.len() < HEADER_LEN {
            return Shape::More(HEADER_LEN);
        }
        let Some(header) = Header::parse(head) else { return Shape::Foreign };
        let len = match (header.command, header.is_response()) {
            (command::READ, true) if header.is_success() && header.status != STATUS_PENDING => read::FIXED_LEN,
            (command::WRITE, false) => write::FIXED_LEN,
            _ => return Shape::Whole,
        };
        if header.next != 0 || header.is_related() || total < (HEADER_LEN + len) as u64 {
            return Shape::Whole;
        }
        Shape::Streamed(HEADER_LEN + len)
    }

    /// A whole message: one, or a compound.
    pub(in crate::smb) fn message(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) {
        let mut rest = message.bytes;
        let mut start = 0;
        let (mut session, mut tree_id) = (0, 0);
        let mut last_open: Option<OpenId> = None;
        loop {
            let Some(mut header) = Header::parse(rest) else {
                return self.state.unread("unknown_message", rest.len() as u64, tools);
            };
            if header.is_related() && !header.is_response() {
                // [MS-SMB2] 3.2.4.1.4: ids of all ones stand for those of the message before.
                if header.session_id == u64::MAX || header.session_id == 0 {
                    header.session_id = session;
                }
                if header.tree_id == u32::MAX {
                    header.tree_id = tree_id;
                }
            } else {
                last_open = None;
            }
            (session, tree_id) = (header.session_id, header.tree_id);
            self.state.note_session(session, tools);
            let next = header.next as usize;
            let is_last = next < HEADER_LEN || next >= rest.len();
            let bytes = if is_last { rest } else { &rest[..next] };
            let part = Part { header, bytes, session: (self.state.server, session) };
            let piece = Message { bytes, at: message.packet_at(start), pieces: &[] };
            self.one(&part, &piece, &mut last_open, tools);
            if is_last {
                return;
            }
            start += next;
            rest = &rest[next..];
        }
    }

    /// One message of a compound. `last` is the open of the message before, which a related one speaks of.
    fn one(&mut self, part: &Part<'_>, piece: &Message<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) {
        if part.header.is_response() {
            self.state.answered = true;
            self.response(part, piece, tools);
        } else {
            self.request(part, piece, last, tools);
        }
    }

    fn request(&mut self, part: &Part<'_>, piece: &Message<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) {
        tree::used(&mut self.state, part, tools);
        let tree = tree::of_part(part, tools);
        let asked = match part.header.command {
            command::NEGOTIATE => negotiate::request(&mut self.state, part.bytes),
            command::SESSION_SETUP => session::request(&mut self.state, part, tools),
            command::TREE_CONNECT => tree::request(part.bytes),
            command::CREATE => create::request(part.bytes, last, tools),
            command::CLOSE => close::request(&mut self.state, part, last, tools),
            command::READ => read::request(&mut self.state, part, tree, last, tools),
            command::WRITE => {
                let head = Message { bytes: part.bytes, ..*piece };
                write::whole(&mut self.state, part, &head, tree, last, tools);
                return;
            }
            command::IOCTL => ioctl::request(&mut self.state, part, tree, last, tools),
            command::QUERY_INFO => info::query_request(&mut self.state, part, last, tools),
            command::QUERY_DIRECTORY => info::directory_request(&mut self.state, part, last, tools),
            command::SET_INFO => info::set_request(&mut self.state, part, last, tools),
            command::CANCEL => return,
            _ => Asked::Other,
        };
        self.state.wait_for(part, (tree, piece.at), asked, tools);
    }

    fn response(&mut self, part: &Part<'_>, piece: &Message<'_>, tools: &mut Tools<'_>) {
        let header = &part.header;
        if header.status == STATUS_PENDING && header.is_async() {
            return;
        }
        if header.command == command::OPLOCK_BREAK && header.message_id == u64::MAX {
            return;
        }
        if header.command == command::READ {
            return read::whole_answer(&mut self.state, part, piece, tools);
        }
        let pending = self.state.waiting.take(header.message_id);
        // A response in a compound may leave out what its request named.
        let session = pending.as_ref().map_or(part.session, |p| if p.session.1 == 0 { part.session } else { p.session });
        let tree = pending.as_ref().and_then(|p| p.tree).or_else(|| tree::of_part(part, tools));
        let part = Part { session, bytes: part.bytes, header: *header };
        let asked_at = pending.as_ref().map_or(PacketRef::default(), |p| p.at);
        let asked = pending.map(|p| p.asked);
        match part.header.command {
            command::NEGOTIATE => negotiate::response(&mut self.state, &part, tools),
            command::SESSION_SETUP => session::response(&mut self.state, &part, asked, asked_at, tools),
            command::LOGOFF => session::logged_off(&part, tools),
            command::TREE_CONNECT => tree::connected(&part, asked, tools),
            command::TREE_DISCONNECT => tree::disconnected(&part, tools),
            command::CREATE => create::response(&part, tree, asked, tools),
            command::CLOSE => close::response(&mut self.state, &part, tree, asked, tools),
            command::WRITE => write::response(&part, tree, asked, tools),
            command::IOCTL => ioctl::response(&part, tree, asked, tools),
            command::QUERY_INFO => info::query_response(&part, tree, asked, tools),
            command::QUERY_DIRECTORY => info::directory_response(&part, tree, asked, tools),
            command::SET_INFO => info::set_response(&part, tree, asked, tools),
            _ => {}
        }
        if let Some(name) = part.header.name() {
            tools.tell(part.session, tree, &What::Command { name, status: Some(part.header.status), asked: asked_at.time });
        }
    }

    /// The head of a READ answer or WRITE request whose bytes come.
    pub(in crate::smb) fn begin(&mut self, head: &Message<'_>, total: u64, tools: &mut Tools<'_>) {
        let Some(header) = Header::parse(head.bytes) else { return };
        self.state.note_session(header.session_id, tools);
        let part = Part { header, bytes: head.bytes, session: (self.state.server, header.session_id) };
        self.state.answered |= header.is_response();
        let streamed = if header.is_response() {
            read::begin(&mut self.state, &part, total, tools)
        } else {
            tree::used(&mut self.state, &part, tools);
            let tree = tree::of_part(&part, tools);
            write::begin(&mut self.state, &part, total, tree, &mut None, tools)
        };
        self.streaming[side(tools.way)] = streamed;
    }

    /// Its further bytes.
    pub(in crate::smb) fn body(&mut self, offset: u64, bytes: &[u8], tools: &mut Tools<'_>) {
        if let Some(streamed) = &mut self.streaming[side(tools.way)] {
            streamed.body(offset, bytes, tools);
        }
    }

    /// Bytes of it that were lost.
    pub(in crate::smb) fn body_lost(&mut self, offset: u64, length: u64, tools: &mut Tools<'_>) {
        if let Some(streamed) = &mut self.streaming[side(tools.way)] {
            streamed.lost(offset, length, tools);
        }
    }

    /// Its end.
    pub(in crate::smb) fn finish(&mut self, tools: &mut Tools<'_>) {
        if let Some(streamed) = self.streaming[side(tools.way)].take() {
            streamed.finish(tools);
        }
    }

    /// Messages of a direction were lost.
    pub(in crate::smb) fn gap(&mut self, tools: &mut Tools<'_>) {
        if let Some(streamed) = self.streaming[side(tools.way)].take() {
            streamed.finish(tools);
        }
    }

    /// Bytes that are kept.
    pub(in crate::smb) fn held_bytes(&self) -> usize {
        self.state.held_bytes()
    }

    /// There is no room for what is kept: what waits gets no answer.
    pub(in crate::smb) fn give_up(&mut self, tools: &mut Tools<'_>) {
        self.state.preauth_of = HashMap::new();
        for pending in self.state.waiting.drain() {
            unanswered(&pending, tools);
        }
    }

    /// The connection is over: what waits gets no answer.
    pub(in crate::smb) fn end(&mut self, tools: &mut Tools<'_>) {
        for way in [Way::ToServer, Way::ToClient] {
            if let Some(streamed) = self.streaming[side(way)].take() {
                streamed.finish(tools);
            }
        }
        for pending in self.state.waiting.drain() {
            unanswered(&pending, tools);
        }
    }
}
