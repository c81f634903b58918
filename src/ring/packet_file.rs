//! A segment's packet file in a reader's hands: stored bytes, and whether they are those that were written.

use super::error::SegmentError;
use super::granule::{Codec, GranuleEntry};
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An open packet file, which several threads may read.
#[derive(Clone)]
pub struct PacketFile {
    pub(super) file: Arc<File>,
    pub(super) path: Arc<Path>,
}

impl PacketFile {
    /// Opens a packet file that is not known to a ring.
    #[cfg(test)]
    pub(crate) fn open(path: &Path) -> io::Result<PacketFile> {
        Ok(PacketFile { file: Arc::new(File::open(path)?), path: path.into() })
    }

    /// Fills `out` with bytes as they are stored.
    pub fn read_stored(&self, offset: u64, out: &mut [u8]) -> Result<(), SegmentError> {
        self.file.read_exact_at(out, offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => SegmentError::damaged(&self.path, offset, "the packet file ends too early".into()),
            _ => SegmentError::io(&self.path, e),
        })
    }

    /// Asks the disk for bytes that will be read soon. Does not wait, and promises nothing.
    pub fn will_read(&self, offset: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len) {
            let _ = fadvise(&*self.file, offset, Some(len), Advice::WillNeed);
        }
    }

    /// Whether stored bytes are those that were written.
    pub fn verify(&self, granule: &GranuleEntry, bytes: &[u8]) -> Result<(), SegmentError> {
        let fail = |reason: String| Err(SegmentError::damaged(&self.path, granule.stored_offset, reason));
        match granule.codec {
            Codec::Plain if crc32c::crc32c(bytes) == granule.crc => Ok(()),
            Codec::Plain => fail("its packets do not agree with their checksum".into()),
            Codec::Damaged => fail("a repair found its packets changed".into()),
            Codec::Unknown(n) => fail(format!("stored with codec {n}, which this program does not know: use a newer one")),
        }
    }

    /// A granule's bytes, verified.
    pub fn granule(&self, granule: &GranuleEntry) -> Result<Vec<u8>, SegmentError> {
        let mut bytes = vec![0; granule.stored_len as usize];
        self.read_stored(granule.stored_offset, &mut bytes)?;
        self.verify(granule, &bytes)?;
        Ok(bytes)
    }
}
