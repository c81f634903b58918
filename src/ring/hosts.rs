//! Which hosts a sealed segment may hold, in 512 bytes: so that a cut of one host over many small segments opens few of them.
//!
//! An entry is a Bloom filter of the addresses at the ends of the segment's flows. Entries stand in `hosts/<n>`, 1,024 segments a file, at
//! the place that the segment's number gives. An entry that is missing, torn or of another version says nothing, and the segment is opened:
//! nothing here has to be synced, mended or believed. Segments of very many addresses say nothing either; they are large, and few.

use super::bytes::{u16_at, u32_at, u64_at};
use super::draft::{SegmentDraft, counts_as_ip6};
use super::facts::SegmentFacts;
use super::ids::SegmentId;
use crate::wire::FlowKey;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The folder of the entries' files, in a ring's folder.
pub const HOSTS_FOLDER: &str = "hosts";
/// Bytes of one entry.
pub const ENTRY_LEN: usize = 512;
/// Entries of one file.
pub const FILE_ENTRIES: u64 = 1024;
/// Entries of one page of the disk.
const PAGE_ENTRIES: u64 = 8;
/// The entry's version.
const VERSION: u16 = 1;
/// Set where every selection must look into the segment.
const OPEN_ALWAYS: u16 = 1;
const HEAD_LEN: usize = 12;
const BITS_LEN: usize = ENTRY_LEN - HEAD_LEN - 4;
const BITS: u32 = BITS_LEN as u32 * 8;
/// Bits an address sets.
const HASHES: u32 = 4;
/// Addresses beyond which a filter would let through more than one in four.
const ADDRESSES_MAX: usize = 1200;

/// One segment's entry.
pub struct Hosts {
    open_always: bool,
    bits: [u8; BITS_LEN],
}

impl Hosts {
    /// The hosts of a segment about to be sealed.
    pub fn of(draft: &SegmentDraft) -> Hosts {
        let mut hosts = Hosts { open_always: draft.damaged, bits: [0; BITS_LEN] };
        let flows = draft.keys4.len() + draft.keys6.len();
        if flows > 64 * ADDRESSES_MAX {
            hosts.open_always = true;
            return hosts;
        }
        let mut addresses = Vec::with_capacity(2 * flows);
        for key in draft.keys4.iter().chain(&draft.keys6) {
            if *key == FlowKey::IRREGULAR {
                hosts.open_always = true;
            }
            let ip6 = counts_as_ip6(key);
            addresses.extend([(key.a, ip6), (key.b, ip6)]);
        }
        addresses.sort_unstable();
        addresses.dedup();
        hosts.open_always |= addresses.len() > ADDRESSES_MAX;
        for (address, ip6) in addresses {
            for bit in bits_of(&address, ip6) {
                hosts.bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        hosts
    }

    /// Whether a packet with this address may be there.
    pub fn may_hold(&self, address: &[u8; 16], ip6: bool) -> bool {
        self.open_always || bits_of(address, ip6).all(|bit| self.bits[bit / 8] & 1 << (bit % 8) != 0)
    }

    fn encode(&self, id: SegmentId) -> [u8; ENTRY_LEN] {
        let mut o = [0; ENTRY_LEN];
        o[..8].copy_from_slice(&id.0.to_le_bytes());
        o[8..10].copy_from_slice(&VERSION.to_le_bytes());
        o[10..12].copy_from_slice(&(if self.open_always { OPEN_ALWAYS } else { 0 }).to_le_bytes());
        o[HEAD_LEN..HEAD_LEN + BITS_LEN].copy_from_slice(&self.bits);
        let crc = crc32c::crc32c(&o[..ENTRY_LEN - 4]);
        o[ENTRY_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        o
    }

    /// `None` where the bytes do not vouch for this segment.
    fn decode(bytes: &[u8], id: SegmentId) -> Option<Hosts> {
        let told = u64_at(bytes, 0) == id.0
            && u16_at(bytes, 8) == VERSION
            && crc32c::crc32c(&bytes[..ENTRY_LEN - 4]) == u32_at(bytes, ENTRY_LEN - 4);
        if !told {
            return None;
        }
        let mut bits = [0; BITS_LEN];
        bits.copy_from_slice(&bytes[HEAD_LEN..HEAD_LEN + BITS_LEN]);
        Some(Hosts { open_always: u16_at(bytes, 10) & OPEN_ALWAYS != 0, bits })
    }
}

fn bits_of(address: &[u8; 16], ip6: bool) -> impl Iterator<Item = usize> {
    let mixed = mix(u64_at(address, 0) ^ mix(u64_at(address, 8) ^ u64::from(ip6)));
    let (one, two) = (mixed as u32, (mixed >> 32) as u32 | 1);
    (0..HASHES).map(move |i| ((u64::from(one.wrapping_add(i.wrapping_mul(two))) * u64::from(BITS)) >> 32) as usize)
}

/// The finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The file of a segment's entry.
pub(super) fn file_of(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(HOSTS_FOLDER).join((id.0 / FILE_ENTRIES).to_string())
}

fn place_of(id: SegmentId) -> u64 {
    id.0 % FILE_ENTRIES * ENTRY_LEN as u64
}

/// Writes a segment's entry.
pub fn write(ring: &Path, id: SegmentId, hosts: &Hosts) -> io::Result<()> {
    let path = file_of(ring, id);
    let open = || OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(ring.join(HOSTS_FOLDER))?;
            open()?
        }
        other => other?,
    };
    file.write_all_at(&hosts.encode(id), place_of(id))
}

/// Whether a segment's entry was written and is changed. One that never was, or was lost in a power cut, is no damage.
pub fn is_damaged(ring: &Path, id: SegmentId) -> bool {
    let mut entry = [0; ENTRY_LEN];
    let read = File::open(file_of(ring, id)).and_then(|f| f.read_exact_at(&mut entry, place_of(id)));
    read.is_ok() && entry != [0; ENTRY_LEN] && Hosts::decode(&entry, id).is_none()
}

/// Gives the place of a dropped segment's entry back once it is the last of its page, and the file once it is the last of that: the
/// earlier ones were dropped before it.
pub fn dropped(ring: &Path, id: SegmentId) {
    let next = id.0 % FILE_ENTRIES + 1;
    if next == FILE_ENTRIES {
        let _ = fs::remove_file(file_of(ring, id));
    } else if next.is_multiple_of(PAGE_ENTRIES)
        && let Ok(file) = OpenOptions::new().write(true).open(file_of(ring, id))
    {
        // Where the file system cannot do that, the whole file goes later.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let page = PAGE_ENTRIES * ENTRY_LEN as u64;
        let _ = fallocate(&file, hole, place_of(id) + ENTRY_LEN as u64 - page, page);
    }
}

/// Of some segments in any order, those that `may_hold` cannot rule out. What cannot be read rules nothing out.
pub fn keep_candidates(ring: &Path, segments: &mut Vec<SegmentFacts>, may_hold: impl Fn(&SegmentFacts, &Hosts) -> bool) -> u64 {
    let mut bytes_read = 0;
    let mut at_hand: Option<(u64, Vec<u8>)> = None;
    // Segments of one file stand together: their numbers and their times rise together.
    segments.retain(|facts| {
        if facts.has(SegmentFacts::DAMAGED) || facts.has(SegmentFacts::LOST) {
            return true;
        }
        let number = facts.id.0 / FILE_ENTRIES;
        if at_hand.as_ref().is_none_or(|(n, _)| *n != number) {
            let bytes = read_up_to(&file_of(ring, facts.id), FILE_ENTRIES as usize * ENTRY_LEN).unwrap_or_default();
            bytes_read += bytes.len() as u64;
            at_hand = Some((number, bytes));
        }
        let place = place_of(facts.id) as usize;
        let entry = at_hand.as_ref().and_then(|(_, bytes)| bytes.get(place..place + ENTRY_LEN));
        entry.and_then(|bytes| Hosts::decode(bytes, facts.id)).is_none_or(|hosts| may_hold(facts, &hosts))
    });
    bytes_read
}

fn read_up_to(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len().min(most as u64) as usize;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::ids::{SectionId, SensorId, StreamId};
    use crate::time::{Timestamp, Window};

    fn address(n: u32) -> [u8; 16] {
        let mut a = [0; 16];
        a[..4].copy_from_slice(&(0x0a00_0000 + n).to_be_bytes());
        a
    }

    fn draft(hosts: u32) -> SegmentDraft {
        let stream = StreamId { fanout: 0, link_type: LinkType::ETHERNET };
        let mut draft = SegmentDraft::new(SensorId([1; 16]), SegmentId(1), stream, 0);
        let key = |n| FlowKey { a: address(n), b: address(n + 1), bits: 0, ..FlowKey::IRREGULAR };
        draft.keys4 = (0..hosts - 1).map(key).collect();
        draft
    }

    #[test]
    fn no_host_is_ruled_out_that_is_there_and_most_others_are() {
        for (count, most) in [(2, 1), (300, 50), (ADDRESSES_MAX as u32, 2800)] {
            let hosts = Hosts::of(&draft(count));
            assert!((0..count).all(|n| hosts.may_hold(&address(n), false)));
            let wrong = (count..count + 10_000).filter(|n| hosts.may_hold(&address(*n), false)).count();
            assert!(wrong <= most, "{wrong} of 10,000 beside {count}");
        }
        assert!(Hosts::of(&draft(ADDRESSES_MAX as u32 + 1)).may_hold(&address(1 << 20), false), "too many to tell");
        let mut odd = draft(2);
        odd.keys4.push(FlowKey::IRREGULAR);
        assert!(Hosts::of(&odd).may_hold(&address(77), false), "an odd packet may be anybody's");
    }

    #[test]
    fn only_an_entry_that_vouches_for_the_segment_rules_it_out() {
        let dir = tempfile::tempdir().unwrap();
        let facts = |id: u64, flags| SegmentFacts {
            id: SegmentId(id),
            stream: StreamId { fanout: 0, link_type: LinkType::ETHERNET },
            low: Timestamp::ZERO,
            high: Timestamp::ZERO,
            first: Timestamp::ZERO,
            captured: Window::ALL,
            packets: 1,
            data_bytes: 1,
            index_bytes: 1,
            arrived: Timestamp::ZERO,
            drops: 0,
            granules: 1,
            section_low: SectionId::NONE,
            section_high: SectionId::NONE,
            flags,
            truncated: 0,
            recovered: 0,
        };
        let kept = |host: u32| {
            let mut all: Vec<SegmentFacts> = (1000..1030).map(|id| facts(id, 0)).collect();
            all.push(facts(1001, SegmentFacts::DAMAGED));
            keep_candidates(dir.path(), &mut all, |_, hosts| hosts.may_hold(&address(host), false));
            all.iter().map(|f| f.id.0).collect::<Vec<_>>()
        };
        assert_eq!(kept(0).len(), 31, "nothing is told");
        for id in 1000..1030 {
            write(dir.path(), SegmentId(id), &Hosts::of(&draft(if id == 1027 { 50 } else { 3 }))).unwrap();
        }
        assert_eq!(kept(40), [1027, 1001], "damaged ones are always looked into");
        let path = dir.path().join(HOSTS_FOLDER).join("1");
        let mut bytes = fs::read(&path).unwrap();
        bytes[ENTRY_LEN + 20] ^= 1; // of segment 1025
        bytes.truncate(5 * ENTRY_LEN + 100); // of segments 1029 on
        fs::write(&path, bytes).unwrap();
        assert_eq!(kept(40), [1025, 1027, 1029, 1001]);
        dropped(dir.path(), SegmentId(1022));
        assert_eq!(kept(40).len(), 4);
        dropped(dir.path(), SegmentId(1023));
        assert_eq!(kept(40).len(), 28);
    }
}
