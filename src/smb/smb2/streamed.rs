//! The bytes of a READ answer or WRITE request as they come.

use super::state::Tools;
use crate::flow::Way;
use crate::smb::event::{Action, OpenId, OperationId, TreeId, What};
use crate::smb::shared::SessionKey;

/// What is being streamed.
#[derive(Debug)]
pub(super) struct Streamed {
    pub open: OpenId,
    pub operation: OperationId,
    pub action: Action,
    pub session: SessionKey,
    pub tree: Option<TreeId>,
    pub is_pipe: bool,
    /// Where the data begin in the file, and in the message, and how many there are.
    pub offset: u64,
    pub data_at: u64,
    pub data_len: u64,
    /// Of a READ: how many were asked for, and the answer's status.
    pub asked: Option<u64>,
    pub status: u32,
    /// The message is as long as it says. The data of one that is not are no short read, which would tell where the file ends.
    pub is_whole: bool,
}

impl Streamed {
    /// Bytes of the message at an offset.
    pub(super) fn body(&mut self, offset: u64, bytes: &[u8], tools: &mut Tools<'_>) {
        let skipped = self.data_at.saturating_sub(offset);
        let at = offset.max(self.data_at) - self.data_at;
        let left = self.data_len.saturating_sub(at);
        let Some(bytes) = bytes.get(skipped as usize..).filter(|b| !b.is_empty() && left > 0) else { return };
        let bytes = &bytes[..bytes.len().min(left as usize)];
        let what = if self.is_pipe {
            What::Pipe { open: self.open, way: self.way(), bytes }
        } else {
            let offset = self.offset.saturating_add(at);
            What::Data { open: self.open, action: self.action, operation: self.operation, offset, bytes }
        };
        tools.tell(self.session, self.tree, &what);
    }

    /// Bytes of the message that were lost.
    pub(super) fn lost(&mut self, offset: u64, length: u64, tools: &mut Tools<'_>) {
        let from = offset.max(self.data_at) - self.data_at;
        let to = (offset.saturating_add(length).max(self.data_at) - self.data_at).min(self.data_len);
        if from >= to {
            return;
        }
        let (open, action, operation) = (self.open, self.action, self.operation);
        let offset = self.offset.saturating_add(from);
        tools.tell(self.session, self.tree, &What::DataLost { open, action, operation, offset, length: to - from });
    }

    /// Its end.
    pub(super) fn finish(self, tools: &mut Tools<'_>) {
        if self.is_pipe {
            tools.tell(self.session, self.tree, &What::Pipe { open: self.open, way: self.way(), bytes: &[] });
        } else if self.action == Action::Read && self.is_whole {
            let (open, operation, offset) = (self.open, self.operation, self.offset);
            let done = What::ReadDone { open, operation, offset, asked: self.asked, given: self.data_len, status: self.status };
            tools.tell(self.session, self.tree, &done);
        }
    }

    fn way(&self) -> Way {
        match self.action {
            Action::Read => Way::ToClient,
            Action::Write => Way::ToServer,
        }
    }
}
