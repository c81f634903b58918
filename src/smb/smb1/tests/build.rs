//! Builds messages and carries them to a reader.

use crate::flow::{ConnectionId, Way};
pub(super) use crate::smb::log::{Content, Log, packet};
use crate::smb::reader::{Carrier, Ids, Message, Shape};
use crate::smb::smb1::connection::Smb1;

/// The client's process id in built messages.
pub(super) const PID: u16 = 0x1234;

/// One message in the making.
#[derive(Clone, Debug)]
pub(super) struct Build {
    bytes: Vec<u8>,
    /// Where the last command's words begin.
    words_at: usize,
}

impl Build {
    fn new(command: u8, reply: bool, tid: u16, uid: u16, mid: u16) -> Build {
        let mut bytes = vec![0xFF, b'S', b'M', b'B', command, 0, 0, 0, 0, if reply { 0x88 } else { 0x08 }];
        bytes.extend(0xC001u16.to_le_bytes());
        bytes.extend([0; 12]);
        for v in [tid, PID, uid, mid] {
            bytes.extend(v.to_le_bytes());
        }
        Build { bytes, words_at: 0 }
    }

    /// A request in tree 1 of user 1.
    pub(super) fn request(command: u8, mid: u16) -> Build {
        Build::new(command, false, 1, 1, mid)
    }

    /// The same as an answer with success.
    pub(super) fn answer(command: u8, mid: u16) -> Build {
        Build::new(command, true, 1, 1, mid)
    }

    pub(super) fn tid(mut self, tid: u16) -> Build {
        self.bytes[24..26].copy_from_slice(&tid.to_le_bytes());
        self
    }

    pub(super) fn uid(mut self, uid: u16) -> Build {
        self.bytes[28..30].copy_from_slice(&uid.to_le_bytes());
        self
    }

    pub(super) fn status(mut self, status: u32) -> Build {
        self.bytes[5..9].copy_from_slice(&status.to_le_bytes());
        self
    }

    pub(super) fn flags2(mut self, flags2: u16) -> Build {
        self.bytes[10..12].copy_from_slice(&flags2.to_le_bytes());
        self
    }

    /// A command with these words (as bytes) and bytes.
    pub(super) fn block(mut self, words: &[u8], bytes: &[u8]) -> Build {
        assert_eq!(words.len() % 2, 0);
        self.words_at = self.bytes.len() + 1;
        self.bytes.push((words.len() / 2) as u8);
        self.bytes.extend(words);
        self.bytes.extend((bytes.len() as u16).to_le_bytes());
        self.bytes.extend(bytes);
        self
    }

    /// A further command of the chain.
    pub(super) fn and_x(mut self, command: u8, words: &[u8], bytes: &[u8]) -> Build {
        let at = (self.bytes.len() as u16).to_le_bytes();
        self.bytes[self.words_at] = command;
        self.bytes[self.words_at + 2..self.words_at + 4].copy_from_slice(&at);
        self.block(words, bytes)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }
}

/// Words from numbers of different widths.
#[derive(Clone, Debug, Default)]
pub(super) struct W(pub(super) Vec<u8>);

impl W {
    /// Words that begin with the end of an AndX chain.
    pub(super) fn and_x() -> W {
        W(vec![0xFF, 0, 0, 0])
    }
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
}

/// UTF-16 with a NUL.
pub(super) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A connection and its log. Each message is a packet of its own.
pub(super) struct Talk {
    pub(super) smb: Smb1,
    pub(super) ids: Ids,
    pub(super) log: Log,
    pub(super) number: u64,
    /// In whole messages, or as the shape says with pieces of this size.
    pub(super) pieces: Option<usize>,
}

pub(super) fn carrier(way: Way) -> Carrier {
    Carrier { connection: ConnectionId(1), way }
}

impl Talk {
    pub(super) fn new() -> Talk {
        Talk { smb: Smb1::new(), ids: Ids::default(), log: Log::default(), number: 0, pieces: None }
    }

    pub(super) fn client(&mut self, build: Build) -> &mut Self {
        self.bytes(Way::ToServer, &build.done())
    }

    pub(super) fn server(&mut self, build: Build) -> &mut Self {
        self.bytes(Way::ToClient, &build.done())
    }

    /// One message's bytes.
    pub(super) fn bytes(&mut self, way: Way, bytes: &[u8]) -> &mut Self {
        self.number += 1;
        let at = packet(self.number);
        let carrier = carrier(way);
        let total = bytes.len() as u64;
        let Some(piece) = self.pieces else {
            let message = Message { bytes, at, pieces: &[] };
            self.smb.message(&carrier, &message, &mut self.ids, &mut self.log);
            return self;
        };
        let mut known = 0;
        loop {
            match self.smb.shape(&carrier, &bytes[..known], total) {
                Shape::More(more) => {
                    assert!(more > known && more as u64 <= total, "{more} of {total}, {known} given");
                    known = more;
                }
                Shape::Whole => {
                    let message = Message { bytes, at, pieces: &[] };
                    self.smb.message(&carrier, &message, &mut self.ids, &mut self.log);
                    return self;
                }
                Shape::Pass | Shape::Foreign => return self,
                Shape::Streamed(head) => {
                    assert!(head > 0 && head as u64 <= total);
                    let message = Message { bytes: &bytes[..head], at, pieces: &[] };
                    self.smb.begin(&carrier, &message, total, &mut self.ids, &mut self.log);
                    for (i, part) in bytes[head..].chunks(piece).enumerate() {
                        let offset = (head + i * piece) as u64;
                        self.smb.body(&carrier, offset, part, at, &mut self.ids, &mut self.log);
                    }
                    self.smb.finish(&carrier, at, &mut self.ids, &mut self.log);
                    return self;
                }
            }
        }
    }

    pub(super) fn gap(&mut self, way: Way) -> &mut Self {
        self.smb.gap(&carrier(way), &mut self.ids, &mut self.log);
        self
    }

    pub(super) fn end(&mut self) -> &mut Self {
        self.number += 1;
        self.smb.end(ConnectionId(1), packet(self.number), &mut self.ids, &mut self.log);
        self
    }

    /// A tree connect: tree 1 is a disk, or IPC$.
    pub(super) fn tree(&mut self, pipe: bool) -> &mut Self {
        let (share, service) = if pipe { ("\\\\S\\IPC$", &b"IPC\0"[..]) } else { ("\\\\S\\D", &b"A:\0"[..]) };
        let mut bytes = vec![0];
        bytes.extend(wide(share));
        bytes.extend(b"?????\0");
        self.client(Build::request(0x75, 900).tid(0xFFFF).block(&W::and_x().w(8).w(1).0, &bytes));
        let mut bytes = service.to_vec();
        bytes.extend(if service.len() % 2 == 0 { &[0][..] } else { &[][..] });
        bytes.extend(wide("NTFS"));
        self.server(Build::answer(0x75, 900).block(&W::and_x().w(1).0, &bytes))
    }

    /// NT_CREATE_ANDX of a name, answered with a file id.
    pub(super) fn open(&mut self, mid: u16, name: &str, fid: u16, size: u64) -> &mut Self {
        self.client(nt_create(mid, name)).server(nt_created(mid, fid, size))
    }
}

pub(super) fn nt_create_words(name: &str) -> Vec<u8> {
    W::and_x().b(0).w(name.len() as u16 * 2).d(0).d(0).d(0x12019F).q(0).d(0x80).d(7).d(5).d(0x40).d(2).b(3).0
}

/// A request for NT_CREATE_ANDX.
pub(super) fn nt_create(mid: u16, name: &str) -> Build {
    let mut bytes = vec![0];
    bytes.extend(wide(name));
    Build::request(0xA2, mid).block(&nt_create_words(name), &bytes)
}

pub(super) fn nt_created_words(fid: u16, size: u64) -> Vec<u8> {
    W::and_x().b(0).w(fid).d(1).q(11).q(12).q(13).q(14).d(0x20).q(4096).q(size).w(0).w(7).b(0).0
}

/// The answer to it.
pub(super) fn nt_created(mid: u16, fid: u16, size: u64) -> Build {
    Build::answer(0xA2, mid).block(&nt_created_words(fid, size), &[])
}

/// A request for READ_ANDX.
pub(super) fn read(mid: u16, fid: u16, offset: u64, length: u32) -> Build {
    let words = W::and_x().w(fid).d(offset as u32).w(length as u16).w(0).d(length >> 16).w(0).d((offset >> 32) as u32);
    Build::request(0x2E, mid).block(&words.0, &[])
}

/// The answer to it, with one byte of padding.
pub(super) fn given(mid: u16, data: &[u8]) -> Build {
    let words = W::and_x().w(0xFFFF).w(0).w(0).w(data.len() as u16).w(60).w((data.len() >> 16) as u16).z(8);
    let mut bytes = vec![0xEE];
    bytes.extend(data);
    Build::answer(0x2E, mid).block(&words.0, &bytes)
}

/// A request for WRITE_ANDX, with three bytes of padding.
pub(super) fn write(mid: u16, fid: u16, offset: u64, data: &[u8]) -> Build {
    Build::request(0x2F, mid).block(&write_words(fid, offset, data.len(), 66), &[&[0xEE; 3], data].concat())
}

pub(super) fn write_words(fid: u16, offset: u64, length: usize, at: u16) -> Vec<u8> {
    W::and_x().w(fid).d(offset as u32).d(0).w(0).w(0).w((length >> 16) as u16).w(length as u16).w(at).d((offset >> 32) as u32).0
}

/// The answer to it.
pub(super) fn wrote(mid: u16, count: u32) -> Build {
    Build::answer(0x2F, mid).block(&W::and_x().w(count as u16).w(0).w((count >> 16) as u16).w(0).0, &[])
}

/// CLOSE and its answer.
pub(super) fn close(mid: u16, fid: u16) -> Build {
    Build::request(0x04, mid).block(&W::default().w(fid).d(0).0, &[])
}

/// An answer without words.
pub(super) fn bare(command: u8, mid: u16) -> Build {
    Build::answer(command, mid).block(&[], &[])
}
