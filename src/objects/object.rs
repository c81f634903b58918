//! An object as one line of JSON: what `--json` prints and the manifest lists.

use super::missing::{Missing, Span};
use super::size::SizeSource;
use super::transfer::Transfer;
use crate::flow::PacketRef;
use crate::smb::event::Action;
use crate::time::{SECOND_NS, Timestamp};
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// What is known of one side of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Side {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The host's name, where it is known.
    pub host: Option<String>,
    /// From what it is known.
    pub host_from: Option<String>,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Account {
    /// Its domain.
    pub domain: Option<String>,
    /// Its name.
    pub user: Option<String>,
    /// The workstation that it named.
    pub workstation: Option<String>,
    /// `ntlm`, `kerberos` or `anonymous`.
    pub how: String,
}

/// Whose transfer it was: what is known beside the open itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// The connection's id.
    pub uid: String,
    /// Its Community ID.
    pub community_id: String,
    /// The client.
    pub client: Side,
    /// The server.
    pub server: Side,
    /// The account, where it is known.
    pub account: Option<Account>,
    /// `\\host\share`, where it is known.
    pub share: Option<String>,
}

/// A packet, as JSON gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Packet {
    /// Its number in the analysis, from 1.
    pub number: u64,
    /// Which file or segment of the analysis, from 0.
    pub source: u32,
    /// Where its record begins there, in bytes.
    pub position: u64,
    /// When it was captured, RFC 3339.
    pub time: Timestamp,
}

impl From<PacketRef> for Packet {
    fn from(at: PacketRef) -> Packet {
        Packet { number: at.number, source: at.source, position: at.position, time: at.time }
    }
}

/// An object's line. Fields that are not known are null.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Object {
    /// The CREATE, else the first data: seconds since 1970, as in Zeek's logs, with six digits of fraction.
    #[serde(serialize_with = "seconds")]
    pub ts: Timestamp,
    /// The CLOSE, else the last data; as `ts`.
    #[serde(serialize_with = "seconds")]
    pub ts_end: Timestamp,
    /// The connection.
    pub uid: String,
    /// Its Community ID.
    pub community_id: String,
    /// The client.
    pub client: Side,
    /// The server.
    pub server: Side,
    /// The account.
    pub account: Option<Account>,
    /// `\\host\share`.
    pub share: Option<String>,
    /// Relative to the share, as on the wire.
    pub path: Option<String>,
    /// The last part of the path; where the CREATE was not seen, the file id: `File_Id_` and it in hex.
    pub name: String,
    /// The alternate data stream.
    pub stream: Option<String>,
    /// `read` or `write`.
    pub action: &'static str,
    /// From 1.
    pub version: u32,
    /// The known size in bytes. Of what was written null also where requests of its session, that may have written more or set another size,
    /// were lost or could not be read after it was told: only the answer to a CLOSE tells it for good. `missing` is then of what is known of.
    pub size: Option<u64>,
    /// From where.
    pub size_from: Option<SizeSource>,
    /// Distinct offsets seen.
    pub seen_bytes: u64,
    /// Of them in the window that was asked for.
    pub bytes_in_window: Option<u64>,
    /// What is not there, and why.
    pub missing: Vec<Missing>,
    /// Ranges of which the capture holds differing copies.
    pub conflicts: Vec<Span>,
    /// Some WRITEs have no answer in the capture.
    pub unconfirmed: bool,
    /// Every byte of the known size was seen.
    pub complete: bool,
    /// The content's id.
    pub content_id: String,
    /// Only of a complete object.
    pub sha256: Option<String>,
    /// Of the seen bytes in the order of their offsets.
    pub sha256_seen: String,
    /// By content.
    pub mime_type: &'static str,
    /// By content.
    pub extension: &'static str,
    /// Some of it was encrypted on the wire.
    pub encrypted: bool,
    /// Some of it was compressed on the wire.
    pub compressed: bool,
    /// The new name.
    pub renamed_to: Option<String>,
    /// It was deleted through this open.
    pub deleted: bool,
    /// The name of the file that the server copied from; empty where that is not known.
    pub copied_from: Option<String>,
    /// Packets that carried its bytes.
    pub packets: u64,
    /// The first of them.
    pub first_packet: Packet,
    /// The last of them.
    pub last_packet: Packet,
    /// `ts` exactly: nanoseconds since 1970. This and all that follow are beyond the common fields.
    pub ts_ns: u64,
    /// `ts_end` exactly.
    pub ts_end_ns: u64,
    /// Of how many versions.
    pub versions: u32,
    /// A limit of ours was reached.
    pub limited: bool,
    /// MD5 of the seen bytes, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1 of the seen bytes, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
}

impl Object {
    /// The line of a transfer.
    pub fn new(transfer: &Transfer, who: &Who) -> Object {
        let t = transfer;
        Object {
            ts: t.ts,
            ts_end: t.ts_end,
            uid: who.uid.clone(),
            community_id: who.community_id.clone(),
            client: who.client.clone(),
            server: who.server.clone(),
            account: who.account.clone(),
            share: who.share.clone(),
            path: t.file.name.clone(),
            name: name(t),
            stream: t.file.stream.clone(),
            action: match t.action {
                Action::Read => "read",
                Action::Write => "write",
            },
            version: t.version,
            size: t.size,
            size_from: t.size_from,
            seen_bytes: t.seen_bytes,
            bytes_in_window: t.bytes_in_window,
            missing: t.missing.clone(),
            conflicts: t.conflicts.clone(),
            unconfirmed: t.unconfirmed,
            complete: t.complete,
            content_id: t.content.content_id.clone(),
            sha256: t.content.sha256.clone(),
            sha256_seen: t.content.sha256_seen.clone(),
            mime_type: t.content.mime_type,
            extension: t.content.extension,
            encrypted: t.encrypted,
            compressed: t.compressed,
            renamed_to: t.renamed_to.clone(),
            deleted: t.deleted,
            copied_from: t.copied_from.as_ref().map(|(_, name)| name.clone().unwrap_or_default()),
            packets: t.packets,
            first_packet: t.first_packet.into(),
            last_packet: t.last_packet.into(),
            ts_ns: t.ts.as_nanos(),
            ts_end_ns: t.ts_end.as_nanos(),
            versions: t.versions,
            limited: t.limited,
            md5: t.content.md5.clone(),
            sha1: t.content.sha1.clone(),
        }
    }
}

/// A transfer's file name: the last part of its path, else made of its file id.
pub fn name(transfer: &Transfer) -> String {
    let last = transfer.file.name.as_deref().map(super::safe_name::last_part).unwrap_or_default();
    match last {
        "" => format!("File_Id_{}", hex::encode(&transfer.file.file_id)),
        last => String::from(last),
    }
}

/// Seconds with microseconds; the exact time stands beside.
fn seconds<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    let micros = time.as_nanos() / 1_000;
    // Exact: microseconds until the year 2255 fit into the 53 bits of the fraction.
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    let seconds = micros as f64 / (SECOND_NS / 1_000) as f64;
    to.serialize_f64(seconds)
}
