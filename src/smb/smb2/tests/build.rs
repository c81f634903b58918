//! Builds messages of SMB2 and carries them to the readers of several connections, which share sessions and opens.

use crate::flow::{ConnectionId, Way};
pub(super) use crate::smb::log::{Log, packet};
use crate::smb::reader::{Message, Shape};
use crate::smb::shared::Shared;
use crate::smb::smb2::{Smb2, Tools};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// The session and tree of messages that say no other.
pub(super) const SESSION: u64 = 0x31;
pub(super) const TREE: u32 = 5;
/// The file id of a related message.
pub(super) const SAME: [u8; 16] = [0xff; 16];

/// Numbers of different widths behind one another.
#[derive(Clone, Debug, Default)]
pub(super) struct W(pub(super) Vec<u8>);

impl W {
    pub(super) fn b(mut self, v: u8) -> W {
        self.0.push(v);
        self
    }
    pub(super) fn w(mut self, v: u16) -> W {
        self.0.extend(v.to_le_bytes());
        self
    }
    pub(super) fn d(mut self, v: u32) -> W {
        self.0.extend(v.to_le_bytes());
        self
    }
    pub(super) fn q(mut self, v: u64) -> W {
        self.0.extend(v.to_le_bytes());
        self
    }
    pub(super) fn z(mut self, bytes: usize) -> W {
        self.0.resize(self.0.len() + bytes, 0);
        self
    }
    pub(super) fn s(mut self, bytes: &[u8]) -> W {
        self.0.extend(bytes);
        self
    }
    /// Up to a multiple of 8.
    pub(super) fn align(self) -> W {
        let more = self.0.len().next_multiple_of(8) - self.0.len();
        self.z(more)
    }
}

pub(super) fn w() -> W {
    W::default()
}

/// UTF-16.
pub(super) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A file id from its persistent and its volatile part.
pub(super) fn id(persistent: u64, volatile: u64) -> [u8; 16] {
    w().q(persistent).q(volatile).0.try_into().unwrap()
}

/// A message with its header, which fields can be changed of.
#[derive(Clone, Debug)]
pub(super) struct Build(pub(super) Vec<u8>);

impl Build {
    fn new(command: u16, mid: u64, flags: u32, body: W) -> Build {
        let header = w().s(b"\xfeSMB").w(64).w(1).d(0).w(command).w(1).d(flags).d(0).q(mid).d(0xfeff).d(TREE).q(SESSION).z(16);
        Build(header.s(&body.0).0)
    }
    pub(super) fn ask(command: u16, mid: u64, body: W) -> Build {
        Build::new(command, mid, 0, body)
    }
    pub(super) fn answer(command: u16, mid: u64, body: W) -> Build {
        Build::new(command, mid, 1, body)
    }
    fn put(mut self, at: usize, bytes: &[u8]) -> Build {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
    fn flag(mut self, flag: u8) -> Build {
        self.0[16] |= flag;
        self
    }
    pub(super) fn status(self, status: u32) -> Build {
        self.put(8, &status.to_le_bytes())
    }
    pub(super) fn tree(self, tree: u32) -> Build {
        self.put(36, &tree.to_le_bytes())
    }
    pub(super) fn session(self, session: u64) -> Build {
        self.put(40, &session.to_le_bytes())
    }
    /// Session, tree and file are those of the message before.
    pub(super) fn related(self) -> Build {
        self.flag(4)
    }
    /// The answer to what the server worked at for a while: it has an id of its own in place of the tree's.
    pub(super) fn later(self, async_id: u64) -> Build {
        self.flag(2).put(32, &async_id.to_le_bytes())
    }
    /// Signed: the signature is not looked at.
    pub(super) fn signed(self) -> Build {
        self.flag(8).put(48, &[0xa5; 16])
    }
}

/// The answer of a request that failed or still waits ([MS-SMB2] 2.2.2).
pub(super) fn error(command: u16, mid: u64, status: u32) -> Build {
    Build::answer(command, mid, w().w(9).w(0).d(0).b(0)).status(status)
}

/// STATUS_PENDING.
pub(super) fn interim(command: u16, mid: u64, async_id: u64) -> Build {
    error(command, mid, 0x103).later(async_id)
}

/// Several messages in one.
pub(super) fn compound(parts: Vec<Build>) -> Build {
    let last = parts.len() - 1;
    let mut all = Vec::new();
    for (i, Build(mut part)) in parts.into_iter().enumerate() {
        if i < last {
            part = W(part).align().0;
            let len = part.len() as u32;
            part[20..24].copy_from_slice(&len.to_le_bytes());
        }
        all.extend(part);
    }
    Build(all)
}

pub(super) fn negotiate(mid: u64, dialects: &[u16]) -> Build {
    let body = w().w(36).w(dialects.len() as u16).w(1).w(0).d(0x7f).s(&[0xc1; 16]).q(0);
    Build::ask(0, mid, dialects.iter().fold(body, |b, d| b.w(*d))).session(0).tree(0)
}

pub(super) fn negotiated(mid: u64, dialect: u16, guid: [u8; 16]) -> Build {
    let body = w().w(65).w(1).w(dialect).w(0).s(&guid).d(0x7f).d(8 << 20).d(8 << 20).d(8 << 20).q(0).q(0).w(128).w(0).d(0);
    Build::answer(0, mid, body).session(0).tree(0)
}

pub(super) fn set_up(mid: u64, flags: u8, token: &[u8]) -> Build {
    Build::ask(1, mid, w().w(25).b(flags).b(1).d(0x7f).d(0).w(88).w(token.len() as u16).q(0).s(token)).tree(0)
}

pub(super) fn set_up_answer(mid: u64, token: &[u8]) -> Build {
    Build::answer(1, mid, w().w(9).w(0).w(72).w(token.len() as u16).s(token)).tree(0)
}

pub(super) fn tree_connect(mid: u64, path: &str) -> Build {
    let path = wide(path);
    Build::ask(3, mid, w().w(9).w(0).w(72).w(path.len() as u16).s(&path)).tree(0)
}

/// Of a disk (1), a pipe (2) or a printer (3).
pub(super) fn tree_connected(mid: u64, kind: u8) -> Build {
    Build::answer(3, mid, w().w(16).b(kind).b(0).d(0).d(0).d(0x1f_01ff))
}

/// A request or answer that has nothing but its length: LOGOFF, TREE_DISCONNECT, ECHO, CANCEL, FLUSH's answer.
pub(super) fn bare() -> W {
    w().w(4).w(0)
}

/// Create contexts behind one another (2.2.13.2).
pub(super) fn contexts(all: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut out = w();
    for (i, (name, data)) in all.iter().enumerate() {
        let len = (24 + data.len()).next_multiple_of(8);
        let next = if i + 1 == all.len() { 0 } else { len as u32 };
        out = out.d(next).w(16).w(4).w(0).w(24).d(data.len() as u32).s(*name).d(0).s(data).align();
    }
    out.0
}

/// CREATE with disposition OVERWRITE_IF, to read and write.
pub(super) fn create(mid: u64, name: &str) -> Build {
    create_with(mid, name, 0x40, &[])
}

pub(super) fn create_with(mid: u64, name: &str, options: u32, contexts: &[u8]) -> Build {
    let name = wide(name);
    let contexts_at = (120 + name.len()).next_multiple_of(8) as u32;
    let fixed = w().w(57).b(0).b(0).d(2).q(0).q(0).d(0x12_019f).d(0x80).d(7).d(5).d(options).w(120).w(name.len() as u16);
    let fixed = fixed.d(if contexts.is_empty() { 0 } else { contexts_at }).d(contexts.len() as u32);
    Build::ask(5, mid, fixed.s(&name).align().s(contexts))
}

/// Times, allocated and real size, attributes.
fn information(size: u64) -> W {
    w().q(11).q(12).q(13).q(14).q(size.next_multiple_of(4096)).q(size).d(0x20)
}

pub(super) fn created(mid: u64, file_id: [u8; 16], size: u64) -> Build {
    Build::answer(5, mid, w().w(89).b(0).b(0).d(1).s(&information(size).0).d(0).s(&file_id).d(0).d(0))
}

pub(super) fn close(mid: u64, file_id: [u8; 16]) -> Build {
    Build::ask(6, mid, w().w(24).w(1).d(0).s(&file_id))
}

/// With the file's size.
pub(super) fn closed(mid: u64, size: u64) -> Build {
    Build::answer(6, mid, w().w(60).w(1).d(0).s(&information(size).0))
}

/// Without.
pub(super) fn closed_plainly(mid: u64) -> Build {
    Build::answer(6, mid, w().w(60).w(0).z(56))
}

pub(super) fn read(mid: u64, file_id: [u8; 16], offset: u64, length: u32) -> Build {
    Build::ask(8, mid, w().w(49).b(0x50).b(0).d(length).q(offset).s(&file_id).d(0).d(0).d(0).w(0).w(0).b(0))
}

/// With some bytes between the fixed part and the data.
pub(super) fn given(mid: u64, data: &[u8]) -> Build {
    Build::answer(8, mid, w().w(17).b(88).b(0).d(data.len() as u32).d(0).d(0).s(&[0xee; 8]).s(data))
}

pub(super) fn write(mid: u64, file_id: [u8; 16], offset: u64, data: &[u8]) -> Build {
    Build::ask(9, mid, w().w(49).w(112).d(data.len() as u32).q(offset).s(&file_id).d(0).d(0).w(0).w(0).d(0).s(data))
}

pub(super) fn wrote(mid: u64, count: u32) -> Build {
    Build::answer(9, mid, w().w(17).w(0).d(count).d(0).w(0).w(0).b(0))
}

pub(super) fn ioctl(mid: u64, file_id: [u8; 16], code: u32, input: &[u8]) -> Build {
    let fixed = w().w(57).w(0).d(code).s(&file_id).d(120).d(input.len() as u32).d(0).d(0).d(0).d(65_536).d(1).d(0);
    Build::ask(11, mid, fixed.s(input))
}

pub(super) fn ioctl_answer(mid: u64, file_id: [u8; 16], code: u32, output: &[u8]) -> Build {
    let fixed = w().w(49).w(0).d(code).s(&file_id).d(112).d(0).d(112).d(output.len() as u32).d(0).d(0);
    Build::answer(11, mid, fixed.s(output))
}

pub(super) fn query_directory(mid: u64, file_id: [u8; 16], class: u8) -> Build {
    Build::ask(14, mid, w().w(33).b(class).b(0).d(0).s(&file_id).w(96).w(2).d(65_536).s(&wide("*")))
}

/// The answer of QUERY_DIRECTORY and of QUERY_INFO.
pub(super) fn buffer(command: u16, mid: u64, data: &[u8]) -> Build {
    Build::answer(command, mid, w().w(9).w(72).d(data.len() as u32).s(data))
}

pub(super) fn query_info(mid: u64, file_id: [u8; 16], class: u8) -> Build {
    Build::ask(16, mid, w().w(41).b(1).b(class).d(4096).w(0).w(0).d(0).d(0).d(0).s(&file_id))
}

pub(super) fn set_info(mid: u64, file_id: [u8; 16], class: u8, data: &[u8]) -> Build {
    Build::ask(17, mid, w().w(33).b(1).b(class).d(data.len() as u32).w(96).w(0).d(0).s(&file_id).s(data))
}

pub(super) fn was_set(mid: u64) -> Build {
    Build::answer(17, mid, w().w(2))
}

/// Connections to one server, and their log. Each message is a packet of its own.
pub(super) struct Talk {
    pub(super) shared: Shared,
    smb: BTreeMap<u64, Smb2>,
    pub(super) log: Log,
    number: u64,
    /// Every message so far.
    pub(super) sent: Vec<(Way, Vec<u8>)>,
    /// In whole messages, or as the shape says with pieces of this size.
    pub(super) pieces: Option<usize>,
    /// The connection that speaks, and the server's address in it.
    connection: u64,
    address: IpAddr,
}

impl Talk {
    pub(super) fn new() -> Talk {
        Talk {
            shared: Shared::default(),
            smb: BTreeMap::new(),
            log: Log::default(),
            number: 0,
            sent: Vec::new(),
            pieces: None,
            connection: 1,
            address: Ipv4Addr::new(10, 0, 0, 2).into(),
        }
    }

    /// The connection that speaks from here on.
    pub(super) fn on(&mut self, connection: u64, address: [u8; 4]) -> &mut Self {
        (self.connection, self.address) = (connection, Ipv4Addr::from(address).into());
        self
    }

    pub(super) fn with(&mut self, way: Way, what: impl FnOnce(&mut Smb2, &mut Tools<'_>)) -> &mut Self {
        self.number += 1;
        let (shared, address) = (&mut self.shared, self.address);
        let server = shared.server_at(address);
        let smb = self.smb.entry(self.connection).or_insert_with(|| Smb2::new(address, server, false));
        let (connection, at) = (ConnectionId(self.connection), packet(self.number));
        let mut tools = Tools { shared, out: &mut self.log, connection, way, at, encrypted: false, compressed: false };
        what(smb, &mut tools);
        self
    }

    pub(super) fn client(&mut self, build: Build) -> &mut Self {
        self.bytes(Way::ToServer, &build.0)
    }

    pub(super) fn server(&mut self, build: Build) -> &mut Self {
        self.bytes(Way::ToClient, &build.0)
    }

    /// One message's bytes.
    pub(super) fn bytes(&mut self, way: Way, bytes: &[u8]) -> &mut Self {
        self.sent.push((way, bytes.to_vec()));
        let (total, pieces) = (bytes.len() as u64, self.pieces);
        self.with(way, |smb, tools| {
            let message = |bytes| Message { bytes, at: tools.at, pieces: &[] };
            let Some(piece) = pieces else { return smb.message(&message(bytes), tools) };
            let mut known = 0;
            loop {
                match smb.shape(&bytes[..known], total) {
                    Shape::More(more) => {
                        assert!(more > known && more as u64 <= total, "{more} of {total}, {known} given");
                        known = more;
                    }
                    Shape::Whole => return smb.message(&message(bytes), tools),
                    Shape::Pass | Shape::Foreign => return,
                    Shape::Streamed(head) => {
                        assert!(head > 0 && head as u64 <= total);
                        smb.begin(&message(&bytes[..head]), total, tools);
                        for (i, part) in bytes[head..].chunks(piece).enumerate() {
                            smb.body((head + i * piece) as u64, part, tools);
                        }
                        return smb.finish(tools);
                    }
                }
            }
        })
    }

    pub(super) fn gap(&mut self, way: Way) -> &mut Self {
        self.with(way, |smb, tools| smb.gap(tools))
    }

    pub(super) fn end(&mut self) -> &mut Self {
        self.with(Way::ToServer, |smb, tools| smb.end(tools))
    }

    /// A session with a tree: a disk, or IPC$.
    pub(super) fn start(&mut self, pipe: bool) -> &mut Self {
        let (path, kind) = if pipe { ("\\\\S\\IPC$", 2) } else { ("\\\\S\\D", 1) };
        self.client(set_up(1, 0, b"")).server(set_up_answer(1, b""));
        self.client(tree_connect(2, path)).server(tree_connected(2, kind))
    }

    /// A file that is opened.
    pub(super) fn open(&mut self, mid: u64, name: &str, file_id: [u8; 16], size: u64) -> &mut Self {
        self.client(create(mid, name)).server(created(mid, file_id, size))
    }

    /// The events, as they are written, but for commands.
    pub(super) fn said(&self) -> Vec<&str> {
        self.log.said.iter().map(|s| s.1.as_str()).filter(|s| !s.starts_with("Command")).collect()
    }

    /// The numbers of the opens in the order they were told.
    pub(super) fn opens(&self) -> Vec<u64> {
        let number = |s: &&str| s.split("OpenId(").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
        self.log.events("Opened").iter().map(number).collect()
    }

    /// What was written by name, with whether all of it was seen.
    pub(super) fn written(&self) -> Vec<(&str, &[u8])> {
        self.log.written.iter().map(|(open, c)| (self.log.names.get(open).map_or("", |n| n), &c.bytes[..])).collect()
    }

    /// The same of what was read.
    pub(super) fn read(&self) -> Vec<(&str, &[u8])> {
        self.log.read.iter().map(|(open, c)| (self.log.names.get(open).map_or("", |n| n), &c.bytes[..])).collect()
    }
}
