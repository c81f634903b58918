//! Messages inside others: encrypted ones (TRANSFORM_HEADER, [MS-SMB2] 2.2.41) and compressed ones (2.2.42).

use super::connection::Smb2;
use super::session::keys;
use super::state::Tools;
use crate::flow::Way;
use crate::smb::compress::decompress_message;
use crate::smb::crypt::{HEADER_BYTES, TransformHeader};
use crate::smb::event::{NoPlaintext, What};
use crate::smb::reader::{MESSAGE_BYTES_MAX, Message};
use crate::smb::shared::Keys;

/// The first four bytes of an encrypted message, and of a compressed one.
pub(crate) const ENCRYPTED: [u8; 4] = *b"\xfdSMB";
pub(crate) const COMPRESSED: [u8; 4] = *b"\xfcSMB";

/// The header of an encrypted message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transform {
    pub(crate) session_id: u64,
}

impl Transform {
    /// Its bytes.
    pub(crate) const LEN: usize = HEADER_BYTES;

    /// From the first bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Transform> {
        let header = TransformHeader::parse(bytes)?;
        let is_one = header.flags == 1 && header.message_bytes as usize <= MESSAGE_BYTES_MAX;
        Some(Transform { session_id: header.session }).filter(|_| is_one && bytes.len() >= Transform::LEN)
    }
}

impl Smb2 {
    /// Encrypted messages: one, or several behind one another.
    pub(in crate::smb) fn encrypted(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) {
        let mut start = 0;
        while let Some(rest) = message.bytes.get(start..).filter(|r| !r.is_empty()) {
            let whole = TransformHeader::parse(rest).map_or(rest.len(), |h| (h.whole_bytes() as usize).min(rest.len()));
            let one = Message { bytes: &rest[..whole], at: message.at, pieces: &[] };
            self.one_encrypted(&one, tools);
            start += whole;
        }
    }

    fn one_encrypted(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) {
        let bytes = message.bytes.len() as u64;
        let Some(header) = Transform::parse(message.bytes) else {
            return self.state.unread("unknown_message", bytes, tools);
        };
        let session = (self.state.server, header.session_id);
        self.state.note_session(header.session_id, tools);
        let opened = self.unseal(header.session_id, message.bytes, tools);
        match opened {
            Ok(plain) => {
                tools.encrypted = true;
                self.inner(&plain, message, tools);
                (tools.encrypted, tools.compressed) = (false, false);
            }
            Err(why) => {
                tools.tell(session, None, &What::Sealed { session: header.session_id, bytes, why });
                if tools.way == Way::ToServer {
                    tools.tell(session, None, &What::RequestsLost);
                }
            }
        }
    }

    /// A compressed message.
    pub(in crate::smb) fn compressed(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) {
        match decompress_message(message.bytes, MESSAGE_BYTES_MAX) {
            Ok(plain) => {
                tools.compressed = true;
                self.inner(&plain, message, tools);
                tools.compressed = false;
            }
            Err(_) => {
                let bytes = message.bytes.len() as u64;
                self.state.unread("bad_compression", bytes, tools);
            }
        }
    }

    /// What was inside: all of it came in the packets of the outer message.
    fn inner(&mut self, plain: &[u8], outer: &Message<'_>, tools: &mut Tools<'_>) {
        let message = Message { bytes: plain, at: outer.at, pieces: &[] };
        match plain.first_chunk::<4>() {
            Some(&COMPRESSED) if !tools.compressed => self.compressed(&message, tools),
            _ => self.message(&message, tools),
        }
    }

    fn unseal(&mut self, wire: u64, bytes: &[u8], tools: &mut Tools<'_>) -> Result<Vec<u8>, NoPlaintext> {
        let session = (self.state.server, wire);
        if tools.shared.session(session).keys.is_none() {
            // Its set-up was not seen here.
            let found = keys(self.state.dialect, wire, None, tools, session);
            tools.shared.session(session).keys = Some(found);
        }
        let to_server = tools.way == Way::ToServer;
        match &mut tools.shared.session(session).keys {
            None | Some(Keys::None) => Err(NoPlaintext::NoKey),
            Some(Keys::Underivable) => Err(NoPlaintext::LateStart),
            Some(Keys::Known(opener)) => opener.open(bytes, to_server).ok_or(NoPlaintext::WrongKey),
            Some(Keys::Guess(opener)) => opener.open(bytes, to_server).ok_or(NoPlaintext::LateStart),
        }
    }
}
