//! Name-resolution and secrets blocks of imported sections, kept beside the segments: one file a section, whole pcapng blocks.

use super::ids::SectionId;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are kept of one section.
pub const SECTION_BYTES_MAX: u64 = 16 << 20;

/// Where a section's blocks are.
pub fn path(ring: &Path, section: SectionId) -> PathBuf {
    ring.join("sections").join(format!("{:010}.blocks", section.0))
}

/// Adds a block to a section. `false`: the section is full and the block is not kept.
pub fn add(ring: &Path, section: SectionId, block: &[u8]) -> io::Result<bool> {
    let path = path(ring, section);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() + block.len() as u64 > SECTION_BYTES_MAX {
        return Ok(false);
    }
    file.write_all(block)?;
    Ok(true)
}
