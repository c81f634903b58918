//! A finished transfer: one version of what was read or written through one open.

use super::missing::{Missing, Span, Why};
use super::size::SizeSource;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::{Action, OpenId, Opened, SessionId, TreeId};
use crate::time::Timestamp;
use std::fmt::Write as _;
use std::path::PathBuf;

/// One version of what was read or written through one open.
#[derive(Clone, PartialEq, Debug)]
pub struct Transfer {
    /// The open.
    pub open: OpenId,
    /// The connection that the open was first seen on.
    pub connection: ConnectionId,
    /// The session, where it is known.
    pub session: Option<SessionId>,
    /// The tree, where it is known.
    pub tree: Option<TreeId>,
    /// What the messages told of the open. `name` is `None` where the CREATE was not seen.
    pub file: Opened,
    /// Read or written.
    pub action: Action,
    /// From 1: a re-read that returned, or an overwrite that brought, different bytes begins another one.
    pub version: u32,
    /// How many versions the transfer had.
    pub versions: u32,
    /// The CREATE's time, else that of the first data.
    pub ts: Timestamp,
    /// The CLOSE's time, else that of the last data.
    pub ts_end: Timestamp,
    /// The known size in bytes. Of what was written it is not known where lost requests may have changed it since it was told.
    pub size: Option<u64>,
    /// From where.
    pub size_from: Option<SizeSource>,
    /// Distinct offsets seen.
    pub seen_bytes: u64,
    /// Those of them whose packet lies in the window that was asked for; `None` where none was.
    pub bytes_in_window: Option<u64>,
    /// What is not there, in order. Where the size is not known: below the last byte that is known of.
    pub missing: Vec<Missing>,
    /// Ranges of which the capture holds differing copies.
    pub conflicts: Vec<Span>,
    /// Some of it was written by WRITEs whose answers are not in the capture.
    pub unconfirmed: bool,
    /// Every byte of the known size was seen in this transfer, and none is in conflict.
    pub complete: bool,
    /// A CLOSE was answered with success.
    pub closed: bool,
    /// Some of it was encrypted on the wire.
    pub encrypted: bool,
    /// Some of it was compressed on the wire.
    pub compressed: bool,
    /// The new name, where the file was renamed through this open.
    pub renamed_to: Option<String>,
    /// The file was deleted through this open.
    pub deleted: bool,
    /// From which open the server copied into it, and its name where that is known.
    pub copied_from: Option<(Option<OpenId>, Option<String>)>,
    /// Packets that carried its bytes.
    pub packets: u64,
    /// The first of them; where there is none, the CREATE's.
    pub first_packet: PacketRef,
    /// The last of them; where there is none, the CLOSE's.
    pub last_packet: PacketRef,
    /// A limit of ours was reached: versions or bytes of it were left out.
    pub limited: bool,
    /// JSON lines of which packet carried which bytes, of all versions; where they were asked for.
    pub provenance: Option<PathBuf>,
    /// What was read or written.
    pub content: Content,
}

/// What the bytes of a transfer say of themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content {
    /// The SHA-256 in hex of a complete object; of an incomplete one `p-` and [`partial_id`](super::content_id::partial_id).
    pub content_id: String,
    /// The SHA-256 in hex; only of a complete object.
    pub sha256: Option<String>,
    /// The SHA-256 in hex of the bytes seen, in the order of their offsets.
    pub sha256_seen: String,
    /// MD5 in hex of the bytes seen, where it was asked for.
    pub md5: Option<String>,
    /// SHA-1 in hex of the bytes seen, where it was asked for.
    pub sha1: Option<String>,
    /// The ranges seen, in order.
    pub seen: Vec<(u64, u64)>,
    /// The media type by content; of what begins with a hole `application/octet-stream`.
    pub mime_type: &'static str,
    /// The file name extension that belongs to it; empty where none does.
    pub extension: &'static str,
    /// Where it lies: in the folder of contents, under its id. `None` where contents are not kept.
    pub stored: Option<PathBuf>,
}

impl Transfer {
    /// Whole, or what is missing and why, in words for a table.
    pub fn wholeness(&self) -> String {
        if self.complete {
            return String::from("whole");
        }
        let mut said = String::new();
        let size = || self.size.map_or(String::from("an unknown size"), amount);
        for why in [
            Why::NotRequested,
            Why::Lost,
            Why::NotRewritten,
            Why::NeverWritten,
            Why::ServerCopy,
            Why::Encrypted,
            Why::Conflict,
            Why::Limit,
        ] {
            let bytes: u64 = self.missing.iter().filter(|m| m.why == why).map(|m| m.to - m.from).sum();
            if bytes == 0 {
                continue;
            }
            if !said.is_empty() {
                said.push_str("; ");
            }
            // Writing to a String cannot fail.
            let _ = match why {
                Why::NotRequested => {
                    let asked = self.size.map_or(self.seen_bytes, |size| size.saturating_sub(bytes));
                    write!(said, "the client asked for {} of {}", amount(asked), size())
                }
                Why::Lost => write!(said, "lost {}", amount(bytes)),
                Why::NotRewritten => {
                    write!(said, "the client rewrote {} of {}", amount(self.seen_bytes), size())
                }
                Why::NeverWritten => write!(said, "{} were never written", amount(bytes)),
                Why::ServerCopy => write!(said, "the server copied {} itself", amount(bytes)),
                Why::Encrypted => write!(said, "{} missing among encrypted messages", amount(bytes)),
                Why::Conflict => write!(said, "copies of {} differ", amount(bytes)),
                Why::Limit => write!(said, "{} beyond a limit", amount(bytes)),
            };
        }
        if said.is_empty() {
            said.push_str(if self.size.is_none() { "its size is not known" } else { "not closed" });
        }
        said
    }
}

/// A number of bytes as people say it: `1,460 bytes`, `4 KiB`, `2.6 MiB`.
pub fn amount(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit && (bytes.is_multiple_of(unit) || bytes >= 10 << 10) {
            let tenths = (u128::from(bytes) * 20 / u128::from(unit)).div_ceil(2);
            return match tenths % 10 {
                0 => format!("{} {name}", tenths / 10),
                tenth => format!("{}.{tenth} {name}", tenths / 10),
            };
        }
    }
    match bytes {
        1 => String::from("1 byte"),
        1_000.. => format!("{},{:03} bytes", bytes / 1_000, bytes % 1_000),
        _ => format!("{bytes} bytes"),
    }
}
