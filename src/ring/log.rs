//! The index of a growing segment: a header page, then one checksummed record a published block.
//!
//! The header holds what never changes, and twice the state that is renewed in place (`complete_to`); a reader takes the newer copy whose
//! checksum holds. A record that is not whole, or not the next in order, means "not yet".

use super::aligned::AlignedBuffer;
use super::bytes::{array16_at, u16_at, u32_at, u64_at};
use super::draft::{Block, FlowNumber, SegmentDraft};
use super::granule::{GranuleEntry, LOG_GRANULE_LEN};
use super::ids::{SectionId, SegmentId, SensorId, StreamId};
use super::note::{NOTE_LEN, Note};
use crate::packet::LinkType;
use crate::time::{Timestamp, Window};
use crate::wire::{FlowKey, KeyKind};

/// First bytes of the file.
pub const LOG_MAGIC: [u8; 8] = *b"TLOOPLOG";
/// The format's version.
pub const LOG_VERSION: u32 = 1;
/// Bytes before the first record.
pub const LOG_HEADER_LEN: usize = 4096;
/// Where the two copies of the state stand.
pub const STATE_AT: [u64; 2] = [1024, 2048];
/// Bytes of one copy of the state.
pub const STATE_LEN: usize = 40;
/// Bytes of a record before its content.
pub const RECORD_HEAD_LEN: usize = 16;
/// Content bytes of a record, at most. A block of 1 MiB needs far fewer.
pub const RECORD_LEN_MAX: usize = 64 << 20;

const KEY4_LEN: usize = 18;
const KEY6_LEN: usize = 42;
const BLOCK_HEAD_LEN: usize = 56;
const DISORDERED: u32 = 1;

/// The state of a growing segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// Counts its renewals.
    pub sequence: u64,
    /// No packet earlier than this can still appear in the stream.
    pub complete_to: Timestamp,
    /// The stretch in which capture has run, up to now.
    pub captured: Window,
}

impl LogState {
    /// The state's bytes and their checksum.
    pub fn encode(&self) -> [u8; STATE_LEN] {
        let mut o = [0; STATE_LEN];
        let words = [self.sequence, self.complete_to.as_nanos(), self.captured.from.as_nanos(), self.captured.to.as_nanos()];
        for (i, word) in words.iter().enumerate() {
            o[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&o[..32]);
        o[32..36].copy_from_slice(&crc.to_le_bytes());
        o
    }

    fn decode(bytes: &[u8]) -> Option<LogState> {
        let bytes = bytes.get(..STATE_LEN)?;
        let time = |at| Timestamp::from_nanos(u64_at(bytes, at));
        (crc32c::crc32c(&bytes[..32]) == u32_at(bytes, 32)).then(|| LogState {
            sequence: u64_at(bytes, 0),
            complete_to: time(8),
            captured: Window { from: time(16), to: time(24) },
        })
    }
}

/// The header page of an empty segment.
pub fn header(draft: &SegmentDraft) -> Vec<u8> {
    let mut o = Vec::with_capacity(LOG_HEADER_LEN);
    o.extend_from_slice(&LOG_MAGIC);
    o.extend_from_slice(&LOG_VERSION.to_le_bytes());
    o.extend_from_slice(&u32::from(draft.imported).to_le_bytes());
    o.extend_from_slice(&draft.sensor.0);
    o.extend_from_slice(&draft.id.0.to_le_bytes());
    o.extend_from_slice(&draft.stream.fanout.to_le_bytes());
    o.extend_from_slice(&draft.stream.link_type.0.to_le_bytes());
    o.extend_from_slice(&(draft.data_start as u32).to_le_bytes());
    let crc = crc32c::crc32c(&o);
    o.extend_from_slice(&crc.to_le_bytes());
    o.resize(LOG_HEADER_LEN, 0);
    o
}

/// Appends the record of a block, the `sequence`th of its segment from 0.
pub fn put_record(out: &mut Vec<u8>, sequence: u32, block: &Block) {
    let start = out.len();
    out.resize(start + RECORD_HEAD_LEN, 0);
    let flags = if block.disordered { DISORDERED } else { 0 };
    let counts = [block.new4.len(), block.new6.len(), block.granules.len(), block.numbers.len(), block.notes.len()];
    for n in counts {
        out.extend_from_slice(&(n as u32).to_le_bytes());
    }
    for n in [block.section.0, flags, block.packets, block.truncated, 0] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&block.first.as_nanos().to_le_bytes());
    out.extend_from_slice(&block.last.as_nanos().to_le_bytes());
    for granule in &block.granules {
        granule.put_logged(out);
    }
    for n in &block.counts {
        out.extend_from_slice(&n.to_le_bytes());
    }
    for n in &block.numbers {
        out.extend_from_slice(&n.0.to_le_bytes());
    }
    for key in &block.new4 {
        put_key(out, key, 4);
    }
    for key in &block.new6 {
        put_key(out, key, 16);
    }
    for note in &block.notes {
        note.encode(out);
    }
    let len = out.len() - start - RECORD_HEAD_LEN;
    let head = &mut out[start..];
    head[..4].copy_from_slice(&(len as u32).to_le_bytes());
    head[4..8].copy_from_slice(&sequence.to_le_bytes());
    let crc = record_crc(&head[..8], &head[RECORD_HEAD_LEN..]);
    head[8..12].copy_from_slice(&crc.to_le_bytes());
}

fn record_crc(head: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), content)
}

/// Appends a key with addresses of `width` bytes.
pub(super) fn put_key(out: &mut Vec<u8>, key: &FlowKey, width: usize) {
    out.extend_from_slice(&key.a[..width]);
    out.extend_from_slice(&key.b[..width]);
    out.extend_from_slice(&key.vlan.to_le_bytes());
    out.extend_from_slice(&key.a_port.to_le_bytes());
    out.extend_from_slice(&key.b_port.to_le_bytes());
    out.extend_from_slice(&[key.proto, key.bits]);
}

/// A key with addresses of `width` bytes.
pub(super) fn key_at(bytes: &[u8], width: usize) -> FlowKey {
    let address = |at: usize| {
        let mut a = [0; 16];
        if let Some(b) = bytes.get(at..at + width) {
            a[..width].copy_from_slice(b);
        }
        a
    };
    let rest = bytes.get(2 * width..).unwrap_or_default();
    FlowKey {
        a: address(0),
        b: address(width),
        vlan: u32_at(rest, 0),
        a_port: u16_at(rest, 4),
        b_port: u16_at(rest, 6),
        proto: rest.get(8).copied().unwrap_or(0),
        bits: rest.get(9).copied().unwrap_or(0),
    }
}

/// A growing segment as its log tells it.
#[derive(Clone, Debug)]
pub struct Published {
    /// All that was published.
    pub draft: SegmentDraft,
    /// The newest state, if any was written.
    pub state: Option<LogState>,
    /// Bytes of the log that were believed.
    pub log_len: u64,
    /// How many records.
    pub records: u32,
}

/// Why a log cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The header page is not there yet.
    #[error("the header is not whole")]
    NotYet,
    /// The header does not agree with its checksum.
    #[error("the header does not agree with its checksum")]
    Checksum,
    /// Made by a later version.
    #[error("it is of format version {0}, which this program does not know: use a newer one")]
    Version(u32),
}

/// Reads a log: all whole records in order, then no more.
pub fn read(bytes: &[u8]) -> Result<Published, LogError> {
    let Some(head) = bytes.get(..LOG_HEADER_LEN) else { return Err(LogError::NotYet) };
    if head[..8] != LOG_MAGIC || crc32c::crc32c(&head[..48]) != u32_at(head, 48) {
        return Err(LogError::Checksum);
    }
    let version = u32_at(head, 8);
    if version != LOG_VERSION {
        return Err(LogError::Version(version));
    }
    let stream = StreamId { fanout: u16_at(head, 40), link_type: LinkType(u16_at(head, 42)) };
    let id = SegmentId(u64_at(head, 32));
    let mut draft = SegmentDraft::new(SensorId(array16_at(head, 16)), id, stream, u64::from(u32_at(head, 44)));
    draft.imported = u32_at(head, 12) & 1 != 0;
    Ok(read_on(bytes, draft))
}

/// Reads what follows a log's header into the draft of a segment of which no more is known than the header tells.
pub(super) fn read_on(bytes: &[u8], mut draft: SegmentDraft) -> Published {
    let states = STATE_AT.map(|at| bytes.get(at as usize..).and_then(LogState::decode));
    let state = states.into_iter().flatten().max_by_key(|s| s.sequence);
    draft.captured = state.map(|s| s.captured).filter(|w| w.from < w.to);
    let (mut at, mut records) = (LOG_HEADER_LEN, 0);
    while let Some((block, len)) = bytes.get(at..).and_then(|b| take_record(b, records)) {
        // A record may only speak of flows that were told.
        let known = |n: &FlowNumber| {
            let keys = if n.is_ip6() { draft.keys6.len() + block.new6.len() } else { draft.keys4.len() + block.new4.len() };
            n.index() < keys
        };
        if !block.numbers.iter().all(known) {
            break;
        }
        draft.absorb(&block);
        at += len;
        records += 1;
    }
    Published { draft, state, log_len: at as u64, records }
}

/// The record at the front of `bytes` as a block without data, and its length; `None` if it is not whole or not the `sequence`th.
fn take_record(bytes: &[u8], sequence: u32) -> Option<(Block, usize)> {
    let head = bytes.get(..RECORD_HEAD_LEN)?;
    let len = u32_at(head, 0) as usize;
    if len > RECORD_LEN_MAX || u32_at(head, 4) != sequence {
        return None;
    }
    let content = bytes.get(RECORD_HEAD_LEN..RECORD_HEAD_LEN + len)?;
    if record_crc(&head[..8], content) != u32_at(head, 8) || content.len() < BLOCK_HEAD_LEN {
        return None;
    }
    let [new4, new6, granules, numbers, notes] = [0, 4, 8, 12, 16].map(|at| u32_at(content, at) as usize);
    let need = new4 * KEY4_LEN + new6 * KEY6_LEN + granules * (LOG_GRANULE_LEN + 4) + numbers * 4 + notes * NOTE_LEN;
    if content.len() != BLOCK_HEAD_LEN + need {
        return None;
    }
    let mut rest = &content[BLOCK_HEAD_LEN..];
    let mut part = |n: usize, width: usize| {
        let (front, back) = rest.split_at(n * width);
        rest = back;
        front.chunks_exact(width)
    };
    let mut end = 0;
    let mut granule = |bytes| {
        let granule = GranuleEntry::logged(bytes, end);
        end = granule.stored_end();
        granule
    };
    let block = Block {
        data: AlignedBuffer::default(),
        granules: part(granules, LOG_GRANULE_LEN).map(&mut granule).collect(),
        counts: part(granules, 4).map(|b| u32_at(b, 0)).collect(),
        numbers: part(numbers, 4).map(|b| FlowNumber(u32_at(b, 0))).collect(),
        new4: part(new4, KEY4_LEN).map(|b| key_at(b, 4)).collect(),
        new6: part(new6, KEY6_LEN).map(|b| key_at(b, 16)).collect(),
        notes: part(notes, NOTE_LEN).map(Note::decode).collect(),
        section: SectionId(u32_at(content, 20)),
        disordered: u32_at(content, 24) & DISORDERED != 0,
        packets: u32_at(content, 28),
        truncated: u32_at(content, 32),
        first: Timestamp::from_nanos(u64_at(content, 40)),
        last: Timestamp::from_nanos(u64_at(content, 48)),
    };
    let told: u64 = block.counts.iter().map(|&n| u64::from(n)).sum();
    let families_hold =
        block.new4.iter().all(|k| k.kind() != KeyKind::Ip6) && block.new6.iter().all(|k| k.kind() == KeyKind::Ip6);
    (told == block.numbers.len() as u64 && families_hold).then_some((block, RECORD_HEAD_LEN + len))
}
