//! Whose a transfer is, and its `files` event.

use super::ends::Ends;
use super::sessions::Sessions;
use crate::events::files::Files;
use crate::events::head::between;
use crate::events::names::{HostNames, NameFrom};
use crate::flow::End;
use crate::identity::account::{self, How};
use crate::objects::object::{Account, Side, Who, name};
use crate::objects::transfer::Transfer;
use crate::smb::event::Action;
use crate::time::Timestamp;
use sha1::{Digest as _, Sha1};

/// Whose a transfer is.
pub(super) fn who(transfer: &Transfer, ends: &Ends, sessions: &mut Sessions, names: &HostNames) -> Who {
    let named = ends.of(transfer.connection);
    let nowhere = End { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    let (client, server) = named.map_or((nowhere, nowhere), |n| (n.client, n.server));
    let share = sessions.tree(transfer.tree).map(|t| t.path.clone()).filter(|p| !p.is_empty());
    Who {
        uid: named.map(|n| n.head.uid.clone()).unwrap_or_default(),
        community_id: named.and_then(|n| n.community_id.clone()).unwrap_or_default(),
        client: side(client, names, transfer.ts),
        server: side(server, names, transfer.ts),
        account: sessions.account(transfer.session).map(shown),
        share,
    }
}

fn side(end: End, names: &HostNames, at: Timestamp) -> Side {
    let known = names.lookup(end.ip, at);
    Side {
        ip: end.ip,
        port: end.port,
        host: known.as_ref().map(|k| k.0.to_string()),
        host_from: known.map(|(_, from, learned)| format!("{} at {learned}", heard(from))),
    }
}

fn heard(from: NameFrom) -> &'static str {
    match from {
        NameFrom::Dns => "dns",
        NameFrom::Netbios => "netbios",
        NameFrom::Ntlm => "ntlm",
        NameFrom::Dhcp => "dhcp",
    }
}

fn shown(account: account::Account) -> Account {
    let how = match account.how {
        How::Ntlm | How::Plain => "ntlm",
        How::Kerberos => "kerberos",
        How::Anonymous => "anonymous",
        How::Guest => "guest",
    };
    Account { domain: account.domain, user: account.user, workstation: account.workstation, how: how.to_string() }
}

/// The id of a transfer in Zeek's manner: `F` and 17 characters, from the connection's uid, the open's first packet, way and version.
fn fuid(transfer: &Transfer, who: &Who) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha1::new()
        .chain_update(who.uid.as_bytes())
        .chain_update(&transfer.file.file_id)
        .chain_update(transfer.first_packet.time.as_nanos().to_be_bytes())
        .chain_update([u8::from(transfer.action == Action::Write)])
        .chain_update(transfer.version.to_be_bytes())
        .finalize();
    let mut number = digest.iter().take(16).fold(0_u128, |n, b| n << 8 | u128::from(*b));
    let mut id = String::from("F");
    for _ in 0..17 {
        id.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    id
}

/// The `files` event of a transfer.
pub(super) fn files(transfer: &Transfer, who: &Who, ends: &Ends, account: Option<account::Account>) -> Option<Files> {
    let named = ends.of(transfer.connection)?;
    let is_orig = transfer.action == Action::Write;
    let (from, to) = if is_orig { (who.client.ip, who.server.ip) } else { (who.server.ip, who.client.ip) };
    let missing = transfer.missing.iter().map(|m| m.to - m.from).sum();
    let mut analyzers = Vec::new();
    if transfer.content.sha1.is_some() {
        analyzers.push("SHA1");
    }
    if transfer.content.md5.is_some() {
        analyzers.push("MD5");
    }
    analyzers.push("SHA256");
    let filename = match &transfer.file.name {
        Some(_) => Some(transfer.file.name.clone().unwrap_or_default()),
        None => Some(name(transfer)),
    };
    Some(Files {
        head: named.head.at(transfer.ts),
        fuid: fuid(transfer, who),
        tx_hosts: vec![from],
        rx_hosts: vec![to],
        source: "SMB",
        depth: 0,
        analyzers,
        mime_type: Some(transfer.content.mime_type.to_string()).filter(|m| m != "application/octet-stream"),
        filename,
        duration: between(transfer.first_packet.time, transfer.last_packet.time).unwrap_or(0.0),
        local_orig: None,
        is_orig: Some(is_orig),
        seen_bytes: transfer.seen_bytes,
        total_bytes: transfer.size,
        missing_bytes: missing,
        overflow_bytes: 0,
        timedout: !transfer.closed,
        parent_fuid: None,
        md5: transfer.content.md5.clone(),
        sha1: transfer.content.sha1.clone(),
        sha256: transfer.content.sha256.clone(),
        account,
    })
}
