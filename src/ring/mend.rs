//! Mending: the index of a segment that its writer never sealed, made again from its packets.

use super::disk::ToSeal;
use super::draft::{Block, FlowStats, SegmentDraft, vouched};
use super::facts::SegmentFacts;
use super::granule::{Codec, GranuleEntry, STORED_END_MAX, STORED_LEN_MAX, ends_before};
use super::headless::{Left, left};
use super::ids::{SectionId, SegmentId};
use super::join::join_small_granules;
use super::log::{self, LogError};
use super::paths::{data_path, log_path};
use super::scan::{StoredPacket, blocks};
use super::shared::{DiskError, Shared};
use super::snapshot::growing_facts;
use super::tally::Tallies;
use crate::time::Timestamp;
use crate::wire::{Decoded, apply_hint, decode};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What becomes of a segment that its writer left growing.
pub(super) enum Mended {
    /// It is ready to be sealed.
    Seal(Box<ToSeal>),
    /// Packets were published and are lost: the catalogue is to say so, and then the log can go.
    Lost(SegmentFacts),
    /// There is nothing left to do.
    Nothing,
}

/// Makes a segment ready for sealing from what its log published and whole packets after it.
pub(super) fn mend(shared: &Shared, id: SegmentId, sealed: &[SegmentId]) -> Result<Mended, DiskError> {
    let error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| DiskError { path, source }
    };
    let (log_path, data_path) = (log_path(&shared.ring, id), data_path(&shared.ring, id));
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DiskError { path: path.to_path_buf(), source: e }),
        _ => Ok(()),
    };
    if sealed.contains(&id) {
        remove(&log_path)?;
        return Ok(Mended::Nothing);
    }
    let bytes = match fs::read(&log_path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(error(&log_path))?,
    };
    let published = match log::read(&bytes) {
        Ok(published) => published,
        Err(LogError::Version(_)) => return Ok(Mended::Nothing),
        Err(LogError::NotYet | LogError::Checksum) => match left(shared, id, &bytes).map_err(error(&data_path))? {
            Left::Published(published) => *published,
            Left::Nothing => {
                remove(&data_path)?;
                remove(&log_path)?;
                return Ok(Mended::Nothing);
            }
            Left::Strange => {
                tracing::warn!(
                    "{}: its log is lost, and it does not say whose packets it has: it is left alone",
                    data_path.display()
                );
                return Ok(Mended::Nothing);
            }
        },
    };
    // Before anything is written to them.
    let arrived = arrived(&data_path, &log_path);
    let lost = || {
        tracing::warn!("{}: the packets of segment {id} are lost, and cuts that would have them say so", data_path.display());
        Mended::Lost(SegmentFacts { arrived, ..lost_facts(&published.draft) })
    };
    let data = match OpenOptions::new().read(true).write(true).open(&data_path) {
        Ok(data) => data,
        Err(e) if e.kind() == io::ErrorKind::NotFound && published.draft.packets > 0 => return Ok(lost()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            remove(&log_path)?;
            return Ok(Mended::Nothing);
        }
        Err(e) => return Err(error(&data_path)(e)),
    };
    let (mut draft, stats4, stats6) = rebuild(&published.draft, &data, &Tail::UNPUBLISHED).map_err(error(&data_path))?;
    if draft.packets == 0 && published.draft.packets > 0 {
        return Ok(lost());
    }
    draft.notes.clone_from(&published.draft.notes);
    // The state of an import's segment is what the import had seen before it.
    let told = published.draft.captured;
    let own = (draft.first != Timestamp::MAX).then(|| vouched(told.filter(|_| draft.imported), draft.first, draft.high));
    draft.captured = if draft.imported { own } else { told.or(own) };
    data.set_len(draft.data_len).map_err(error(&data_path))?;
    if draft.packets == 0 && draft.notes.is_empty() && !draft.damaged {
        remove(&data_path)?;
        remove(&log_path)?;
        return Ok(Mended::Nothing);
    }
    tracing::info!(segment = %id, packets = draft.packets, recovered = draft.recovered, "mended a segment that was not sealed");
    Ok(Mended::Seal(Box::new(ToSeal { draft, stats4, stats6, data: Arc::new(data), arrived, mended: true })))
}

/// When the last packets of a segment that was left arrived: when its files were last written, the earlier of the two, because a repair that
/// was itself killed has written to the packet file. Never later than now.
fn arrived(data_path: &Path, log_path: &Path) -> Timestamp {
    let written = |path: &Path| {
        let since = fs::metadata(path).and_then(|m| m.modified()).ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_nanos()).ok().map(Timestamp::from_nanos)
    };
    [data_path, log_path].into_iter().filter_map(written).fold(Timestamp::now(), Timestamp::min)
}

/// Of a segment whose packets are lost.
fn lost_facts(draft: &SegmentDraft) -> SegmentFacts {
    let mut facts = growing_facts(draft);
    facts.flags |= SegmentFacts::LOST | SegmentFacts::DAMAGED | SegmentFacts::MENDED;
    facts.data_bytes = 0;
    if draft.imported && draft.first != Timestamp::MAX {
        facts.captured = vouched(draft.captured, draft.first, draft.high);
    }
    facts
}

/// Bytes of unpublished packets that are looked at together.
const TAIL_BYTES: u64 = 16 << 20;

/// What is known of the packets after those that the old index tells of.
pub(super) struct Tail {
    /// The section that they belong to.
    pub section: SectionId,
    /// Where they end, if that is known: what is left up to there is given up.
    pub packets_to: Option<u64>,
    /// No packet is below.
    pub low: Timestamp,
    /// None is above.
    pub high: Timestamp,
}

impl Tail {
    /// Of packets behind the last published record. They belong to no section: a change of section is published with the first record
    /// of the new one, which is the one that is missing here, so they may be of the last published section or of a later one. Another
    /// section's secrets and names would be wrong; none are only fewer.
    pub(super) const UNPUBLISHED: Tail =
        Tail { section: SectionId::NONE, packets_to: None, low: Timestamp::ZERO, high: Timestamp::MAX };
}

/// Makes the index of a packet file anew: granules of `old` where they agree with their checksums (the others are given up), then
/// whole packets after them, which are counted as recovered.
pub(super) fn rebuild(
    old: &SegmentDraft,
    data: &File,
    tail: &Tail,
) -> io::Result<(SegmentDraft, Vec<FlowStats>, Vec<FlowStats>)> {
    let mut rebuilt = Rebuilt::new(old);
    let mut buffer = Vec::new();
    for (i, granule) in old.granules.iter().enumerate() {
        buffer.resize(granule.stored_len as usize, 0);
        let sound = match data.read_exact_at(&mut buffer, granule.stored_offset) {
            Ok(()) => crc32c::crc32c(&buffer) == granule.crc,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => false,
            // The disk may give it another time.
            Err(e) => return Err(e),
        };
        rebuilt.add_granule(granule, if sound { &buffer } else { &[] }, section_at(old, i as u32));
    }
    let len = data.metadata()?.len().min(STORED_END_MAX);
    loop {
        let at = rebuilt.draft.data_len;
        let mut bytes = vec![0; len.saturating_sub(at).min(TAIL_BYTES) as usize];
        data.read_exact_at(&mut bytes, at)?;
        if !rebuilt.add_tail(&bytes, tail.section) {
            break;
        }
    }
    let end = tail.packets_to.unwrap_or(0).min(STORED_END_MAX);
    while let Some(left) = end.checked_sub(rebuilt.draft.data_len).filter(|&n| n > 0) {
        let granule = GranuleEntry {
            stored_offset: 0,
            stored_len: left.min(STORED_LEN_MAX) as u32,
            codec: Codec::Damaged,
            crc: 0,
            low: tail.low,
            high: tail.high,
        };
        rebuilt.add_granule(&granule, &[], tail.section);
    }
    join_small_granules(&mut rebuilt.draft);
    let (stats4, stats6) = rebuilt.tallies.take();
    Ok((rebuilt.draft, stats4, stats6))
}

fn section_at(draft: &SegmentDraft, granule: u32) -> SectionId {
    let after = draft.sections.partition_point(|s| s.0 <= granule);
    after.checked_sub(1).map_or(SectionId::NONE, |i| draft.sections[i].1)
}

struct Rebuilt {
    draft: SegmentDraft,
    tallies: Tallies,
    decoded: Decoded,
    newest: Timestamp,
}

impl Rebuilt {
    fn new(old: &SegmentDraft) -> Self {
        let mut draft = SegmentDraft::new(old.sensor, old.id, old.stream, old.data_start);
        draft.imported = old.imported;
        Rebuilt { draft, tallies: Tallies::default(), decoded: Decoded::default(), newest: Timestamp::ZERO }
    }

    /// Adds a granule with its verified bytes; without bytes it is given up.
    fn add_granule(&mut self, granule: &GranuleEntry, bytes: &[u8], section: SectionId) {
        let mut block = Block::default();
        block.clear();
        block.section = section;
        let codec = if bytes.is_empty() { Codec::Damaged } else { Codec::Plain };
        self.draft.damaged |= bytes.is_empty();
        let mut entry = GranuleEntry { stored_offset: 0, codec, ..*granule };
        if !bytes.is_empty() {
            (entry.low, entry.high) = (Timestamp::MAX, Timestamp::ZERO);
        }
        for packet in blocks(bytes) {
            entry.low = entry.low.min(packet.packet.time);
            entry.high = entry.high.max(packet.packet.time);
            self.add_packet(&mut block, &packet);
        }
        self.tallies.count(self.draft.granules.len() as u32, &mut block);
        if bytes.is_empty() {
            // Whatever is asked for may have been in it: every plan reads it, and so names it.
            self.tallies.mark_unknown(self.draft.granules.len() as u32, &mut block);
            block.last = entry.high;
        }
        block.counts.push(block.numbers.len() as u32);
        block.granules.push(entry);
        self.draft.low = self.draft.low.min(entry.low);
        self.draft.absorb(&block);
    }

    /// `false`: there was no whole packet in it.
    fn add_tail(&mut self, tail: &[u8], section: SectionId) -> bool {
        let (mut start, mut end, mut captured) = (0, 0, 0);
        let mut packets = 0;
        let close = |this: &mut Self, start: usize, end: usize| {
            let bytes = &tail[start..end];
            if !bytes.is_empty() {
                let granule = GranuleEntry {
                    stored_offset: 0,
                    stored_len: bytes.len() as u32,
                    codec: Codec::Plain,
                    crc: crc32c::crc32c(bytes),
                    low: Timestamp::MAX,
                    high: Timestamp::ZERO,
                };
                this.add_granule(&granule, bytes, section);
            }
        };
        for packet in blocks(tail) {
            if ends_before(packet.offset - start, captured, packet.block.len()) {
                close(self, start, packet.offset);
                start = packet.offset;
                captured = 0;
            }
            captured += packet.packet.data.len();
            end = packet.offset + packet.block.len();
            packets += 1;
        }
        close(self, start, end);
        self.draft.recovered += packets;
        packets > 0
    }

    fn add_packet(&mut self, block: &mut Block, stored: &StoredPacket<'_>) {
        let packet = &stored.packet;
        decode(self.draft.stream.link_type, packet.data, &mut self.decoded);
        if let Some(ports) = stored.hint {
            apply_hint(&mut self.decoded, ports);
        }
        block.count(packet, &mut self.newest);
        self.tallies.note(&self.decoded, packet);
    }
}
