//! A run of bytes of one READ or WRITE, as it is handed to what forms.

use super::versions::Carried;
use crate::flow::PacketRef;
use crate::smb::event::OperationId;

/// Bytes of one READ or WRITE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// By which READ or WRITE.
    pub(super) operation: OperationId,
    /// Offset in the file.
    pub(super) offset: u64,
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Where they stand in the batch that they came in.
    pub(super) start: usize,
    /// The packets.
    pub(super) carried: Carried,
    /// Each of them and the offsets of the file that it carried, where that is wanted.
    pub(super) packets: &'a [(u64, u64, PacketRef)],
}

impl Piece<'_> {
    /// The offset after it; no file reaches beyond the highest.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}
