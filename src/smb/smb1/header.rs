//! The header of a message, and the chain of commands behind it ([MS-CIFS] 2.2.3).

use super::fields::Fields;
use super::limits::CHAIN_MAX;
use super::status::ntstatus;
use super::text::Strings;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 32;
/// What a message begins with.
pub(super) const MAGIC: [u8; 4] = [0xFF, b'S', b'M', b'B'];

/// The header's fields ([MS-CIFS] 2.2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// The first command's code.
    pub(super) command: u8,
    /// The status, as NTSTATUS.
    pub(super) status: u32,
    /// SMB_FLAGS_REPLY: it is an answer.
    pub(super) reply: bool,
    /// SMB_FLAGS2_UNICODE.
    pub(super) unicode: bool,
    /// SMB_FLAGS2_EXTENDED_SECURITY.
    pub(super) extended_security: bool,
    /// Tree.
    pub(super) tid: u16,
    /// Process, its low half.
    pub(super) pid: u16,
    /// User.
    pub(super) uid: u16,
    /// Which request of the process.
    pub(super) mid: u16,
}

impl Header {
    /// Reads it; `None` where the bytes are too few or do not begin as a message does.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        let f = Fields(bytes.get(..HEADER_BYTES)?);
        if bytes.get(..4)? != MAGIC {
            return None;
        }
        let flags2 = f.u16(10)?;
        Some(Header {
            command: f.u8(4)?,
            status: ntstatus(f.u32(5)?, flags2 & 0x4000 != 0),
            reply: f.u8(9)? & 0x80 != 0,
            unicode: flags2 & 0x8000 != 0,
            extended_security: flags2 & 0x0800 != 0,
            tid: f.u16(24)?,
            pid: f.u16(26)?,
            uid: f.u16(28)?,
            mid: f.u16(30)?,
        })
    }

    /// What an answer has in common with its request.
    pub(super) fn key(&self) -> (u16, u16) {
        (self.pid, self.mid)
    }
}

/// One command of a message: its parameter words and its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// Its code.
    pub(super) command: u8,
    /// The parameter words, as bytes.
    pub(super) words: Fields<'a>,
    /// The whole message: offsets in words count from its start.
    pub(super) message: &'a [u8],
    /// Where the bytes begin in the message.
    pub(super) bytes_at: usize,
    /// Where they end: by the byte count, or with the message.
    pub(super) bytes_end: usize,
    /// Strings are UTF-16.
    pub(super) unicode: bool,
}

impl<'a> Block<'a> {
    /// Number of parameter words.
    pub(super) fn word_count(&self) -> usize {
        self.words.len() / 2
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.message.get(self.bytes_at..self.bytes_end).unwrap_or_default()
    }

    /// Reads the strings in the bytes.
    pub(super) fn strings(&self) -> Strings<'a> {
        Strings::new(self.message, self.bytes_at, self.bytes_end, self.unicode)
    }

    /// A part of the message by offset and length, as far as it is there.
    pub(super) fn part(&self, offset: usize, length: usize) -> &'a [u8] {
        let end = offset.saturating_add(length).min(self.message.len());
        self.message.get(offset..end).unwrap_or_default()
    }

    /// Another command follows.
    pub(super) fn has_next(&self) -> bool {
        self.and_x().is_some()
    }

    /// A command without words and bytes, as the answers to failed ones are.
    pub(super) fn empty(command: u8) -> Block<'static> {
        Block { command, words: Fields(&[]), message: &[], bytes_at: 0, bytes_end: 0, unicode: false }
    }

    /// The next command of the chain and where it is said to begin; `None` at the end.
    fn and_x(&self) -> Option<(u8, usize)> {
        let next = self.words.u8(0).filter(|_| is_and_x(self.command))?;
        (next != 0xFF).then_some((next, self.words.place16(2)?))
    }
}

/// Whether a command can have another one behind it ([MS-CIFS] 2.2.3.4).
pub(super) fn is_and_x(command: u8) -> bool {
    matches!(command, 0x24 | 0x2D | 0x2E | 0x2F | 0x73 | 0x74 | 0x75 | 0xA2)
}

/// Why a chain was not read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// The next command does not lie behind this one.
    NoAdvance,
    /// It lies outside of the message, or its words do.
    CutShort,
    /// There are too many commands.
    TooLong,
}

impl Broken {
    /// The name it is counted under.
    pub(super) fn name(self) -> &'static str {
        match self {
            Broken::NoAdvance => "smb1_andx_no_advance",
            Broken::CutShort => "smb1_cut_short",
            Broken::TooLong => "smb1_andx_chain_too_long",
        }
    }
}

/// Goes through the commands of a message.
#[derive(Clone, Debug)]
pub(super) struct Chain<'a> {
    message: &'a [u8],
    unicode: bool,
    next: Option<(u8, usize)>,
    count: usize,
    /// What was wrong with it, once the last command was given.
    pub(super) broken: Option<Broken>,
}

impl<'a> Chain<'a> {
    /// The chain of a message with this header.
    pub(super) fn new(message: &'a [u8], header: &Header) -> Self {
        Chain { message, unicode: header.unicode, next: Some((header.command, HEADER_BYTES)), count: 0, broken: None }
    }

    /// One command at a place. Bytes that are cut off shorten it; words that are cut off do not, they refuse it.
    fn block(&self, command: u8, at: usize) -> Option<Block<'a>> {
        let f = Fields(self.message);
        let words_at = at.checked_add(1)?;
        let words = f.slice(words_at, usize::from(f.u8(at)?) * 2)?;
        let count_at = words_at + words.len();
        let bytes_at = count_at.saturating_add(2).min(self.message.len());
        let bytes_end = bytes_at.saturating_add(f.place16(count_at).unwrap_or(0)).min(self.message.len());
        Some(Block { command, words: Fields(words), message: self.message, bytes_at, bytes_end, unicode: self.unicode })
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let (command, at) = self.next.take()?;
        if self.count >= CHAIN_MAX {
            self.broken = Some(Broken::TooLong);
            return None;
        }
        self.count += 1;
        let Some(block) = self.block(command, at) else {
            self.broken = Some(Broken::CutShort);
            return None;
        };
        if let Some((next, offset)) = block.and_x() {
            // The words of a command end before the next one begins; its bytes may be shared with nothing, but some clients count them short.
            if offset < at + 1 + block.words.len() {
                self.broken = Some(Broken::NoAdvance);
            } else {
                self.next = Some((next, offset));
            }
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8) -> Vec<u8> {
        let mut m = vec![0; HEADER_BYTES];
        m[..4].copy_from_slice(&MAGIC);
        m[4] = command;
        m
    }

    #[test]
    fn fields_of_a_header() {
        let mut m = header(0x2E);
        m[5..9].copy_from_slice(&[1, 0, 5, 0]);
        m[9] = 0x88;
        m[10..12].copy_from_slice(&0x8801u16.to_le_bytes());
        m[24..32].copy_from_slice(&[1, 0, 2, 0, 3, 0, 4, 0]);
        let h = Header::read(&m).unwrap();
        assert_eq!((h.command, h.status, h.reply, h.unicode, h.extended_security), (0x2E, 0xC000_0022, true, true, true));
        assert_eq!((h.tid, h.pid, h.uid, h.mid), (1, 2, 3, 4));
        for cut in 0..m.len() {
            assert_eq!(Header::read(&m[..cut]), None);
        }
        m[0] = 0xFE;
        assert_eq!(Header::read(&m), None);
    }

    #[test]
    fn chains_advance_or_end() {
        // LOCKING_ANDX, then CLOSE.
        let mut m = header(0x24);
        m.extend([2, 0x04, 0, 39, 0, 0, 0]);
        m.extend([1, 7, 0, 0, 0]);
        let h = Header::read(&m).unwrap();
        let mut chain = Chain::new(&m, &h);
        assert_eq!(chain.next().map(|b| (b.command, b.word_count())), Some((0x24, 2)));
        assert_eq!(chain.next().map(|b| (b.command, b.words.u16(0))), Some((0x04, Some(7))));
        assert!(chain.next().is_none());
        assert_eq!(chain.broken, None);
        for (offset, broken) in [(32, Broken::NoAdvance), (0, Broken::NoAdvance), (36, Broken::NoAdvance), (44, Broken::CutShort)]
        {
            m[35] = offset;
            let mut chain = Chain::new(&m, &h);
            assert_eq!(chain.by_ref().count(), 1);
            assert_eq!(chain.broken, Some(broken), "{offset}");
        }
    }

    #[test]
    fn a_chain_has_an_end() {
        let mut m = header(0x24);
        for i in 1..200u16 {
            let next = (HEADER_BYTES as u16 + i * 7).to_le_bytes();
            m.extend([2, 0x24, 0, next[0], next[1], 0, 0]);
        }
        let mut chain = Chain::new(&m, &Header::read(&m).unwrap());
        assert_eq!(chain.by_ref().count(), CHAIN_MAX);
        assert_eq!(chain.broken, Some(Broken::TooLong));
    }
}
