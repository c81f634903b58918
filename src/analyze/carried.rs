//! What a connection carries, told by its first bytes; the port only says where it is worth looking.

use super::tokens::{self, Tokens};
use crate::events::dns_stream::DnsStream;
use crate::flow::{Connection, Interest, Way};
use crate::identity::kerberos_stream::KerberosStream;
use crate::rpc::{Association, looks_like_rpc};
use crate::smb::{Recognized, Smb};

/// Bytes of a direction in which a message of SMB is looked for after a late start: on SMB's ports as many as its longest message has.
const LOOK_BYTES: u64 = 64 << 10;

/// What a connection carries.
pub(super) enum Carried {
    /// Not known yet: how many bytes of each way were looked at.
    Unclear([u64; 2]),
    /// SMB.
    Smb,
    /// DCE/RPC.
    Rpc(Box<Association>),
    /// Kerberos, both ways.
    Kerberos(Box<[KerberosStream; 2]>),
    /// DNS over TCP, both ways.
    Dns(Box<[DnsStream; 2]>),
    /// Something in which logons with NTLM are looked for.
    Tokens(Box<Tokens>),
    /// Nothing that is read.
    Other,
}

/// What a connection's first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Smb,
    Rpc,
    Kerberos,
    Dns,
    Tokens,
    Other,
    Unclear,
}

pub(super) const PORTS_SMB: [u16; 2] = [445, 139];
const PORT_KERBEROS: u16 = 88;
const PORT_DNS: u16 = 53;

impl Carried {
    /// Whether its bytes are wanted.
    pub(super) fn interest(&self) -> Interest {
        match self {
            Carried::Unclear(_) => Interest::Undecided,
            Carried::Tokens(tokens) if tokens.goes_on() => Interest::Undecided,
            Carried::Tokens(_) | Carried::Other => Interest::Unwanted,
            _ => Interest::Wanted,
        }
    }

    /// Zeek's name of the service, and the letter of its own that a connection's history has none for.
    pub(super) fn service(&self) -> Option<&'static str> {
        match self {
            Carried::Smb => Some("smb"),
            Carried::Rpc(_) => Some("dce_rpc"),
            Carried::Kerberos(_) => Some("krb_tcp"),
            Carried::Dns(_) => Some("dns"),
            Carried::Unclear(_) | Carried::Tokens(_) | Carried::Other => None,
        }
    }
}

/// Looks at bytes of a connection that is not known yet. `looked` is how many bytes of this way came before.
pub(super) fn recognize(connection: &Connection, way: Way, bytes: &[u8], looked: u64) -> Kind {
    let port = connection.server.port;
    if connection.late_start && (PORTS_SMB.contains(&port) || PORTS_SMB.contains(&connection.client.port)) {
        return Kind::Smb;
    }
    match Smb::recognize(bytes, connection.late_start) {
        Recognized::Yes => return Kind::Smb,
        Recognized::Unclear if looked + (bytes.len() as u64) < LOOK_BYTES && connection.late_start => {}
        Recognized::Unclear | Recognized::No => {
            if port == PORT_KERBEROS {
                return Kind::Kerberos;
            }
            if port == PORT_DNS {
                return Kind::Dns;
            }
            if looks_like_rpc(bytes) {
                return Kind::Rpc;
            }
            // A few bytes may be the beginning of anything; a server may greet before the client asks.
            let is_short = looked + (bytes.len() as u64) < 16;
            return match () {
                () if is_short && way == Way::ToServer => Kind::Unclear,
                () if tokens::is_usual(port) => Kind::Tokens,
                () => Kind::Other,
            };
        }
    }
    if looks_like_rpc(bytes) { Kind::Rpc } else { Kind::Unclear }
}
