//! What a data folder still says of itself where `ring.json` or `taploop.json` is damaged.

use super::bytes::u32_at;
use super::files::LazyFile;
use super::ids::SensorId;
use super::name::{folder_name, name_of_folder};
use super::paths::indexes;
use super::sealed::SealedIndex;
use crate::pcap::block::{IF_NAME, INTERFACE_DESCRIPTION, padded};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes at the front of a packet file that are looked at: a name has at most 1,024.
const HEAD_MAX: usize = 4096;

/// The interface of a ring's folder: the folder's name, or the name in a segment's interface block that gives the folder's.
pub(super) fn interface(ring: &Path) -> Option<String> {
    let folder = ring.file_name()?.to_str()?;
    if let Some(name) = name_of_folder(folder) {
        return Some(name);
    }
    let files = fs::read_dir(ring).ok()?.filter_map(|e| e.map(|e| e.path()).ok());
    let packets = files.filter(|p| p.extension().is_some_and(|x| x == "pcapng"));
    packets.filter_map(|p| name_in(&p)).find(|name| folder_name(name) == folder)
}

/// The name in a packet file's interface block.
fn name_in(packets: &Path) -> Option<String> {
    let file = File::open(packets).ok()?;
    let len = file.metadata().ok()?.len().min(HEAD_MAX as u64) as usize;
    let mut head = vec![0; len];
    file.read_exact_at(&mut head, 0).ok()?;
    let word = |at: usize| head.get(at..at.checked_add(4)?).map(|b| u32_at(b, 0));
    let at = word(4)? as usize;
    if word(at)? != INTERFACE_DESCRIPTION {
        return None;
    }
    let mut options = head.get(at.checked_add(16)?..)?;
    while let Some((&[a, b, c, d], rest)) = options.split_first_chunk::<4>() {
        let (code, len) = (u16::from_le_bytes([a, b]), usize::from(u16::from_le_bytes([c, d])));
        if code == IF_NAME {
            return String::from_utf8(rest.get(..len)?.to_vec()).ok();
        }
        options = rest.get(padded(len)..)?;
    }
    None
}

/// The sensor that a segment's index names.
pub(super) fn sensor(rings: &Path) -> Option<SensorId> {
    let rings = fs::read_dir(rings).ok()?.filter_map(|e| e.map(|e| e.path()).ok());
    let mut all = rings.flat_map(|ring| indexes(&ring).collect::<Vec<_>>());
    all.find_map(|path| Some(SealedIndex::open(LazyFile::new(path, Arc::default()), 0, Arc::default()).ok()?.footer().sensor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::disk::segment_head;
    use crate::ring::ids::{SegmentId, StreamId};

    #[test]
    fn a_name_that_the_folder_cannot_hold_stands_in_a_segment() {
        let dir = tempfile::tempdir().unwrap();
        let name = "a/".repeat(400);
        let ring = dir.path().join(folder_name(&name));
        fs::create_dir(&ring).unwrap();
        assert_eq!(interface(&ring), None);
        let stream = StreamId { fanout: 0, link_type: LinkType::ETHERNET };
        let head = segment_head(SensorId([7; 16]), &name, SegmentId(1), stream);
        for (i, cut) in [0, 10, 100, head.len() - 1].into_iter().enumerate() {
            fs::write(ring.join(format!("{i}.pcapng")), &head[..cut]).unwrap();
        }
        let other = segment_head(SensorId([7; 16]), "eth0", SegmentId(1), stream);
        fs::write(ring.join("8.pcapng"), other).unwrap();
        fs::write(ring.join("9.pcapng"), &head).unwrap();
        assert_eq!(interface(&ring), Some(name));
        assert_eq!(sensor(dir.path()), None);
    }
}
