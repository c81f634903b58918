//! What connections of SMB carry beside it, as Zeek names services: logons and calls.

use crate::flow::ConnectionId;
use crate::identity::spnego::{Inner, SecurityToken, Step};
use std::collections::HashMap;

/// Connections that are remembered. 65,536: some MiB; of further ones only `smb` is told.
const CONNECTIONS_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(super) struct Inside {
    services: HashMap<ConnectionId, Vec<&'static str>>,
}

impl Inside {
    /// A security token came.
    pub(super) fn token(&mut self, connection: ConnectionId, token: &[u8]) {
        let token = SecurityToken::parse(token);
        if token.step != Step::Raw {
            self.add(connection, "gssapi");
        }
        match token.inner {
            Inner::Ntlm(_) => self.add(connection, "ntlm"),
            Inner::Kerberos(_) => self.add(connection, "krb"),
            _ => {}
        }
    }

    /// A connection carries this.
    pub(super) fn add(&mut self, connection: ConnectionId, service: &'static str) {
        if self.services.len() >= CONNECTIONS_MAX && !self.services.contains_key(&connection) {
            return;
        }
        let services = self.services.entry(connection).or_default();
        if !services.contains(&service) {
            services.push(service);
        }
    }

    /// What a connection carried; it is over.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Vec<&'static str> {
        self.services.remove(&connection).unwrap_or_default()
    }
}
