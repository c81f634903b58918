//! What imported sections say beside packets, kept beside the segments: one file a section, of whole pcapng blocks.
//!
//! Interface description blocks come first, one a link type, and hold what the imported file said of the interface: options beside
//! its name and the unit of its times. Name-resolution and secrets blocks follow.

use super::ids::SectionId;
use crate::packet::LinkType;
use crate::pcap::block::{self, INTERFACE_DESCRIPTION, SNAP_LENGTH};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are kept of one section.
pub const SECTION_BYTES_MAX: u64 = 16 << 20;

/// The folder in the ring's own.
pub(super) const SECTIONS_FOLDER: &str = "sections";
/// Bytes of a block beside its body: type and length before it, length after it.
const FRAME: usize = 12;

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

    /// From stored bytes, up to the first block that is not whole: its writer was killed.
    pub fn decode(bytes: &[u8]) -> Section {
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

fn first_block(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (kind, total) = (word(0)?, word(4)? as usize);
    let whole = bytes.get(..total).filter(|_| total >= FRAME && total.is_multiple_of(4))?;
    (word(total - 4)? as usize == total).then_some((kind, whole))
}

/// Where a section is.
fn path(ring: &Path, section: SectionId) -> PathBuf {
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

/// Reads a section; empty where nothing is kept of it.
pub fn read(ring: &Path, section: SectionId) -> io::Result<Section> {
    match fs::read(path(ring, section)) {
        Ok(bytes) => Ok(Section::decode(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Section::default()),
        Err(e) => Err(e),
    }
}

/// Adds whole blocks to a section. `false`: the section is full and they are not kept.
pub fn add(ring: &Path, section: SectionId, blocks: &[u8]) -> io::Result<bool> {
    let path = path(ring, section);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() + blocks.len() as u64 > SECTION_BYTES_MAX {
        return Ok(false);
    }
    file.write_all(blocks)?;
    Ok(true)
}

/// Makes a section last.
pub fn sync(ring: &Path, section: SectionId) -> io::Result<()> {
    File::open(path(ring, section))?.sync_all()?;
    super::data::sync_folder(&ring.join(SECTIONS_FOLDER))
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
        assert!(add(dir.path(), SectionId(7), &first).unwrap());
        assert_eq!(read(dir.path(), SectionId(7)).unwrap(), section);
        assert_eq!(read(dir.path(), SectionId(8)).unwrap(), Section::default());
        assert_eq!(stored(dir.path()).unwrap(), [SectionId(7)]);
        for len in 0..first.len() {
            let cut = Section::decode(&first[..len]);
            assert!(cut.blocks.is_empty() && cut.descriptions.len() <= 1, "{len}");
        }
        assert!(!add(dir.path(), SectionId(7), &vec![0; SECTION_BYTES_MAX as usize]).unwrap());
        remove(dir.path(), SectionId(7)).unwrap();
        remove(dir.path(), SectionId(7)).unwrap();
        assert!(stored(dir.path()).unwrap().is_empty());
    }
}
