//! What imported sections say beside packets, kept beside the segments: one file a section, of whole pcapng blocks. One that says
//! nothing has its file, too, so that one that is gone is missed.
//!
//! Interface description blocks come first, one a link type, and hold what the imported file said of the interface: options beside
//! its name and the unit of its times. Name-resolution and secrets blocks follow. What was added at once is closed by a custom block
//! with its checksum, so that nobody is handed a changed secret.

use super::bytes::u32_at;
use super::data::sync_folder;
use super::error::SegmentError;
use super::hint::ENTERPRISE_NUMBER;
use super::ids::SectionId;
use crate::packet::LinkType;
use crate::pcap::block::{self, CUSTOM_NO_COPY, INTERFACE_DESCRIPTION, SNAP_LENGTH};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are kept of one section.
pub const SECTION_BYTES_MAX: u64 = 16 << 20;

/// The folder in the ring's own.
pub(super) const SECTIONS_FOLDER: &str = "sections";
/// Bytes of a block beside its body: type and length before it, length after it.
const FRAME: usize = 12;
/// Bytes of the block that closes what was added at once.
const SUM_LEN: usize = FRAME + 12;
/// What its body begins with, after the enterprise number.
const SUM_MAGIC: [u8; 4] = *b"TLcr";

/// What is kept of one section.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Section {
    /// Options of the interface by link type, without `opt_endofopt`.
    pub descriptions: Vec<(LinkType, Vec<u8>)>,
    /// Name-resolution and secrets blocks, ready to be written.
    pub blocks: Vec<u8>,
}

impl Section {
    /// What a section's packets of a link type have for options of their interface.
    pub fn description(&self, link_type: LinkType) -> &[u8] {
        self.descriptions.iter().find(|d| d.0 == link_type).map_or(&[], |d| &d.1)
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (link_type, options) in self.descriptions.iter().filter(|d| !d.1.is_empty()) {
            let mut body = [0; 8];
            body[..2].copy_from_slice(&link_type.0.to_le_bytes());
            body[4..].copy_from_slice(&SNAP_LENGTH.to_le_bytes());
            block::block(&mut out, INTERFACE_DESCRIPTION, &body, options);
        }
        out.extend_from_slice(&self.blocks);
        out
    }

    /// From blocks that prove themselves.
    fn decode(bytes: &[u8]) -> Section {
        let mut section = Section::default();
        let mut rest = bytes;
        while let Some((kind, whole)) = first_block(rest) {
            let body = &whole[8..whole.len() - 4];
            if kind == INTERFACE_DESCRIPTION && body.len() >= FRAME {
                let link_type = LinkType(u16::from_le_bytes([body[0], body[1]]));
                section.descriptions.push((link_type, body[8..body.len() - 4].to_vec()));
            } else if kind != INTERFACE_DESCRIPTION {
                section.blocks.extend_from_slice(whole);
            }
            rest = &rest[whole.len()..];
        }
        section
    }
}

/// The checksum of what was added to a section at a place of its file.
fn sum_of(section: SectionId, at: usize, added: &[u8]) -> u32 {
    let place = [&section.0.to_le_bytes()[..], &(at as u64).to_le_bytes()].concat();
    crc32c::crc32c_append(crc32c::crc32c(&place), added)
}

/// The checksum that a closing block holds, if `whole` is one.
fn stored_sum(whole: &[u8]) -> Option<u32> {
    let is_sum = whole.len() == SUM_LEN
        && u32_at(whole, 0) == CUSTOM_NO_COPY
        && u32_at(whole, 4) as usize == SUM_LEN
        && u32_at(whole, 8) == ENTERPRISE_NUMBER
        && whole[12..16] == SUM_MAGIC;
    is_sum.then(|| u32_at(whole, 16))
}

/// What a section's file proves.
#[derive(Debug, PartialEq, Eq)]
struct Proven {
    /// The blocks, without the closing ones.
    blocks: Vec<u8>,
    /// Where they end in the file. What follows is no damage: it is being written, or its writer was killed.
    end: usize,
}

/// Holds a file against its checksums; where it does not agree is the error.
fn prove(section: SectionId, bytes: &[u8]) -> Result<Proven, usize> {
    let mut proven = Proven { blocks: Vec::new(), end: 0 };
    let mut at = 0;
    while let Some((_, whole)) = first_block(&bytes[at..]) {
        if let Some(sum) = stored_sum(whole) {
            let added = &bytes[proven.end..at];
            if sum_of(section, proven.end, added) != sum {
                return Err(proven.end);
            }
            proven.blocks.extend_from_slice(added);
            proven.end = at + SUM_LEN;
        }
        at += whole.len();
    }
    // What ends as it should was written to its end, and is changed.
    let ended = bytes.len().checked_sub(SUM_LEN).is_some_and(|last| stored_sum(&bytes[last..]).is_some());
    if ended && proven.end < bytes.len() { Err(proven.end) } else { Ok(proven) }
}

fn first_block(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (kind, total) = (word(0)?, word(4)? as usize);
    let whole = bytes.get(..total).filter(|_| total >= FRAME && total.is_multiple_of(4))?;
    (word(total - 4)? as usize == total).then_some((kind, whole))
}

/// Where a section is.
pub(super) fn path(ring: &Path, section: SectionId) -> PathBuf {
    ring.join(SECTIONS_FOLDER).join(format!("{:010}.blocks", section.0))
}

/// The sections that a ring's folder keeps anything of.
pub fn stored(ring: &Path) -> io::Result<Vec<SectionId>> {
    let entries = match fs::read_dir(ring.join(SECTIONS_FOLDER)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let id = |name: &str| name.strip_suffix(".blocks")?.parse().ok().map(SectionId);
    entries.filter_map(|e| e.map(|e| id(e.file_name().to_str()?)).transpose()).collect()
}

/// Reads a section that a packet belongs to. While the ring is `written`, its end may be in the making.
pub fn read(ring: &Path, section: SectionId, written: bool) -> Result<Section, SegmentError> {
    let path = path(ring, section);
    let damaged = |at: usize, reason: &str| SegmentError::damaged(&path, at as u64, reason.into());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        // Also a section that says nothing has its file.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(0, "it is gone, with the names, secrets and descriptions of its packets"));
        }
        Err(e) => return Err(SegmentError::io(&path, e)),
    };
    let changed = |at| damaged(at, "names, secrets or descriptions do not agree with their checksum, and are left out");
    let proven = prove(section, &bytes).map_err(changed)?;
    if !written && (proven.end < bytes.len() || proven.end == 0) {
        return Err(changed(proven.end));
    }
    Ok(Section::decode(&proven.blocks))
}

/// Adds whole blocks to a section, or none to one that says nothing. `false`: the section is full and they are not kept.
pub fn add(ring: &Path, section: SectionId, blocks: &[u8]) -> io::Result<bool> {
    let path = path(ring, section);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let at = file.metadata()?.len();
    let fits = at + blocks.len() as u64 <= SECTION_BYTES_MAX;
    if !fits && at > 0 {
        return Ok(false);
    }
    let blocks = if fits { blocks } else { &[] };
    let mut bytes = blocks.to_vec();
    let mut body = ENTERPRISE_NUMBER.to_le_bytes().to_vec();
    body.extend_from_slice(&SUM_MAGIC);
    body.extend_from_slice(&sum_of(section, at as usize, blocks).to_le_bytes());
    block::block(&mut bytes, CUSTOM_NO_COPY, &body, &[]);
    // Nothing may follow half of it.
    file.write_all(&bytes).inspect_err(|_| drop(file.set_len(at)))?;
    Ok(fits)
}

/// Takes away what a killed writer left half written at a section's end. What says nothing then still has its file.
pub fn trim(ring: &Path, section: SectionId) -> io::Result<()> {
    let path = path(ring, section);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    match prove(section, &bytes) {
        Ok(proven) if proven.end < bytes.len() || proven.end == 0 => {
            OpenOptions::new().write(true).open(&path)?.set_len(proven.end as u64)?;
            if proven.end == 0 { add(ring, section, &[]).map(drop) } else { Ok(()) }
        }
        // Damage is named by whoever reads it.
        _ => Ok(()),
    }
}

/// Gives a section up: it says nothing from here on. What is damaged of it is set aside, under a name that nobody reads, which is given
/// back unless nothing was there.
pub fn give_up(ring: &Path, section: SectionId) -> io::Result<Option<PathBuf>> {
    let path = path(ring, section);
    let aside = path.with_extension("blocks.damaged");
    let aside = match fs::rename(&path, &aside) {
        Ok(()) => Some(aside),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    add(ring, section, &[])?;
    sync(ring, &BTreeSet::from([section]))?;
    Ok(aside)
}

/// Makes sections last, and the way to them.
pub fn sync(ring: &Path, sections: &BTreeSet<SectionId>) -> io::Result<()> {
    if sections.is_empty() {
        return Ok(());
    }
    for &section in sections {
        match File::open(path(ring, section)) {
            Ok(file) => file.sync_all()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {} // whoever reads it names the damage
            Err(e) => return Err(e),
        }
    }
    match sync_folder(&ring.join(SECTIONS_FOLDER)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => sync_folder(ring),
    }
}

/// Removes a section that no packet belongs to any more.
pub fn remove(ring: &Path, section: SectionId) -> io::Result<()> {
    match fs::remove_file(path(ring, section)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::block::{NAME_RESOLUTION, OPT_COMMENT, option};

    #[test]
    fn a_section_comes_back_and_half_a_block_is_left_out() {
        let mut options = Vec::new();
        option(&mut options, OPT_COMMENT, b"a tap");
        let mut section = Section { descriptions: vec![(LinkType::ETHERNET, options)], blocks: Vec::new() };
        block::block(&mut section.blocks, NAME_RESOLUTION, &[0; 4], &[]);
        let first = section.encode();
        let dir = tempfile::tempdir().unwrap();
        assert!(stored(dir.path()).unwrap().is_empty());
        sync(dir.path(), &BTreeSet::from([SectionId(7)])).unwrap();
        assert!(add(dir.path(), SectionId(7), &first).unwrap());
        assert_eq!(read(dir.path(), SectionId(7), false).unwrap(), section);
        assert!(read(dir.path(), SectionId(8), false).is_err() && read(dir.path(), SectionId(8), true).is_err(), "it is gone");
        assert!(add(dir.path(), SectionId(8), &[]).unwrap());
        assert_eq!(read(dir.path(), SectionId(8), false).unwrap(), Section::default());
        remove(dir.path(), SectionId(8)).unwrap();
        assert_eq!(stored(dir.path()).unwrap(), [SectionId(7)]);
        let path = path(dir.path(), SectionId(7));
        let one = fs::read(&path).unwrap();
        assert!(add(dir.path(), SectionId(7), &section.blocks).unwrap());
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let told = if len < one.len() { Section::default() } else { section.clone() };
            assert_eq!(read(dir.path(), SectionId(7), true).unwrap(), told, "{len}");
            assert_eq!(read(dir.path(), SectionId(7), false).is_ok(), len == one.len(), "{len}");
            trim(dir.path(), SectionId(7)).unwrap();
            assert_eq!(read(dir.path(), SectionId(7), false).unwrap(), told, "{len}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                fs::write(&path, &changed).unwrap();
                assert!(read(dir.path(), SectionId(7), false).is_err(), "{at}");
                // While it may be in the making, less is told, but nothing else.
                let told = read(dir.path(), SectionId(7), true).unwrap_or_default();
                assert!(told == section || told == Section::default(), "{at}");
            }
        }
        fs::write(&path, &whole).unwrap();
        fs::copy(&path, super::path(dir.path(), SectionId(9))).unwrap();
        assert!(read(dir.path(), SectionId(9), false).is_err(), "another section's");
        assert!(give_up(dir.path(), SectionId(9)).unwrap().is_some_and(|aside| fs::read(aside).unwrap() == whole));
        assert_eq!(give_up(dir.path(), SectionId(10)).unwrap(), None);
        for given_up in [SectionId(9), SectionId(10)] {
            assert_eq!(read(dir.path(), given_up, false).unwrap(), Section::default());
            remove(dir.path(), given_up).unwrap();
        }
        let large = vec![0; SECTION_BYTES_MAX as usize + 1];
        assert!(!add(dir.path(), SectionId(7), &large).unwrap() && !add(dir.path(), SectionId(8), &large).unwrap());
        assert_eq!(read(dir.path(), SectionId(8), false).unwrap(), Section::default());
        remove(dir.path(), SectionId(8)).unwrap();
        remove(dir.path(), SectionId(7)).unwrap();
        remove(dir.path(), SectionId(7)).unwrap();
        assert!(stored(dir.path()).unwrap().is_empty());
    }
}
