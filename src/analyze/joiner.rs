//! Packets in, findings out: each connection's bytes go to who reads them.

use super::carried::{Carried, Kind, PORTS_SMB, recognize};
use super::keys::KeyRing;
use super::pipes::association;
use super::rpc_events::{Over, RpcLogon, events};
use super::smb_events::Findings;
use super::stretches::OpenStretches;
use super::terms::{AnalyzeError, Options, Told, Totals};
use crate::events::conn::Conn;
use crate::events::dhcp_message::DhcpMessage;
use crate::events::dhcp_pairing::{DhcpConversations, DhcpLimits};
use crate::events::dns_message::DnsMessage;
use crate::events::dns_pairing::{DnsConversation, DnsLimits};
use crate::events::dns_stream::DnsStream;
use crate::events::event_types::EventType;
use crate::events::head::interval;
use crate::events::kerberos_pairing::KerberosConversation;
use crate::events::{Event, Head};
use crate::flow::{
    Chunk, Conflict, Connection, ConnectionId, Datagram, Flows, Handler, Input, Interest, Limits, Loss, PacketRef, Summary, Way,
};
use crate::identity::kerberos::KerberosMessage;
use crate::identity::kerberos_stream::{KerberosStream, StreamLimits};
use crate::identity::keytab::Keytab;
use crate::objects::collector::Objects;
use crate::rpc::{Association, RpcEvent};
use crate::smb::{self, Smb};
use crate::wire::protocol::{TCP, UDP};
use ahash::AHashMap;
use std::sync::Arc;

/// DNS, Kerberos, both ports of DHCP, and the name services of NetBIOS, mDNS and LLMNR.
const PORTS_UDP: [u16; 7] = [53, 88, 67, 68, 137, 5353, 5355];

/// Those whose messages are DNS's.
const PORTS_DNS: [u16; 4] = [53, 137, 5353, 5355];

/// One connection.
struct Link {
    carried: Carried,
    /// Of UDP and TCP: DNS or Kerberos exchanges.
    dns: Option<Box<DnsConversation>>,
    kerberos: Option<Box<KerberosConversation>>,
    rpc_logon: Option<Box<RpcLogon>>,
    rpc_address: Option<String>,
    /// Services, as Zeek names them.
    services: Vec<&'static str>,
    /// The first bytes of each way, while they are too few to tell.
    few: [Vec<u8>; 2],
}

/// Bytes of a connection's beginning that are kept until it is known what it carries.
const FEW_BYTES: usize = 64;

impl Default for Link {
    fn default() -> Self {
        Link {
            carried: Carried::Unclear([0; 2]),
            dns: None,
            kerberos: None,
            rpc_logon: None,
            rpc_address: None,
            services: Vec::new(),
            few: [Vec::new(), Vec::new()],
        }
    }
}

/// What takes the flows' calls.
struct Joiner<'o> {
    smb: Smb,
    links: AHashMap<ConnectionId, Link>,
    dhcp: Option<DhcpConversations>,
    findings: Findings<'o>,
    wants_bytes: bool,
    wants_conn: bool,
    wants_dns: bool,
    /// Connections on SMB's ports of which it is not known yet what they carry.
    unclear: usize,
    at: PacketRef,
}

/// An analysis of packets in the order of a capture.
pub struct Analysis<'o> {
    flows: Flows,
    joiner: Joiner<'o>,
}

fn side(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

impl<'o> Analysis<'o> {
    /// Begins one. What is found goes to `out`.
    pub fn new(options: Options, out: &'o mut dyn FnMut(Told)) -> Result<Analysis<'o>, AnalyzeError> {
        let mut keytabs = Vec::new();
        let mut warnings = Vec::new();
        for path in &options.secrets.keytabs {
            match std::fs::read(path) {
                Ok(bytes) => keytabs.push(Keytab::parse(&bytes)),
                Err(e) => warnings.push(format!("the keytab {} cannot be read: {e}", path.display())),
            }
        }
        let keys = Arc::new(KeyRing { secrets: options.secrets, keytabs });
        let objects = options.objects.map(Objects::new).transpose()?;
        let wants = |event_type| options.events.is_some_and(|types| types.contains(event_type));
        let (wants_conn, wants_dns) = (wants(EventType::Conn), wants(EventType::Dns));
        let mut findings = Findings::new(keys, options.reveal_passwords, options.events, objects, out);
        findings.totals.warnings = warnings;
        findings.stretches = options.stretches.then(OpenStretches::default);
        Ok(Analysis {
            flows: Flows::new(Limits::default()),
            joiner: Joiner {
                smb: Smb::new(smb::Limits::default()),
                links: AHashMap::new(),
                dhcp: Some(DhcpConversations::new(DhcpLimits::default())),
                findings,
                wants_bytes: true,
                wants_conn,
                wants_dns,
                unclear: 0,
                at: PacketRef::default(),
            },
        })
    }

    /// Takes the next packet.
    #[inline]
    pub fn packet(&mut self, input: &Input<'_>) -> Result<(), AnalyzeError> {
        self.joiner.findings.totals.packets += 1;
        self.joiner.at = input.at;
        self.flows.packet(input, &mut self.joiner);
        match self.joiner.findings.failed.take() {
            Some(e) => Err(e.into()),
            None => Ok(()),
        }
    }

    /// Says something of what was read, once.
    pub fn warn(&mut self, warning: String) {
        let warnings = &mut self.joiner.findings.totals.warnings;
        if warnings.len() < 1_000 && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The capture is over: what waits is told, and what it all came to.
    pub fn end(mut self) -> Result<Totals, AnalyzeError> {
        self.flows.end(&mut self.joiner);
        let Joiner { mut smb, dhcp, mut findings, at, .. } = self.joiner;
        smb.finish(at, &mut findings);
        findings.sessions.finish().into_iter().for_each(|e| findings.tell(e));
        for row in dhcp.map(DhcpConversations::finish).unwrap_or_default() {
            findings.tell(Event::Dhcp(Box::new(row)));
        }
        findings.drain_objects();
        if let Some(e) = findings.failed.take() {
            return Err(e.into());
        }
        findings.oddities.end().into_iter().for_each(|e| findings.tell(e));
        if let Some(objects) = findings.objects.take() {
            objects.end(|transfer| findings.tell_objects(vec![transfer]))?;
        }
        for files in std::mem::take(&mut findings.files) {
            findings.tell(Event::Files(Box::new(files)));
        }
        Ok(findings.totals)
    }
}

impl Joiner<'_> {
    /// A connection's first bytes decide what it carries.
    fn decide(&mut self, connection: &Connection, way: Way, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        let Carried::Unclear(looked) = &mut link.carried else { return };
        // Without a late start these are all bytes from the first one on.
        let before = if connection.late_start { looked[side(way)] } else { 0 };
        let kind = recognize(connection, way, bytes, before);
        looked[side(way)] += bytes.len() as u64;
        let carried = match kind {
            Kind::Unclear => return,
            Kind::Other => Carried::Other,
            Kind::Tokens => Carried::Tokens(Box::default()),
            Kind::Smb => Carried::Smb,
            Kind::Rpc => Carried::Rpc(Box::new(association(&self.findings.keys, self.findings.reveal_passwords))),
            Kind::Kerberos => {
                let stream = || KerberosStream::new(StreamLimits::default());
                Carried::Kerberos(Box::new([stream(), stream()]))
            }
            Kind::Dns => Carried::Dns(Box::new([DnsStream::default(), DnsStream::default()])),
        };
        link.services.extend(carried.service());
        if matches!(carried, Carried::Smb) {
            self.findings.totals.smb_connections += 1;
        }
        if !matches!(carried, Carried::Other) {
            self.findings.ends.add(connection);
        }
        self.unclear -= usize::from(is_on_smb_port(connection));
        link.carried = carried;
    }

    /// Bytes of a connection of which it is known what it carries.
    fn carried_data(&mut self, connection: &Connection, way: Way, chunk: &Chunk<'_>) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        match &mut link.carried {
            Carried::Smb => {
                let (server, late) = (connection.server.ip, connection.late_start);
                self.findings.conflicts.chunk(connection.id, way, chunk);
                self.findings.set_unsettled(self.unclear > 0 || self.smb.is_unsettled());
                self.smb.data(connection.id, way, server, late, chunk, &mut self.findings);
            }
            Carried::Rpc(_) => self.rpc(connection, |a, out| a.push(way, chunk.bytes, chunk.at, out)),
            Carried::Kerberos(streams) => {
                let mut messages = Vec::new();
                streams[side(way)].push(chunk.bytes, |m| messages.push(m.to_vec()));
                for message in messages {
                    self.kerberos_message(connection, &message, chunk.at);
                }
            }
            Carried::Dns(streams) => {
                let mut messages = Vec::new();
                streams[side(way)].push(chunk.bytes, |m| messages.push(m.to_vec()));
                for message in messages {
                    self.dns_message(connection, &message, chunk.at);
                }
            }
            Carried::Tokens(tokens) => {
                let found = tokens.push(way, chunk.bytes, || head_of(connection).at(chunk.at.time));
                found.into_iter().for_each(|row| self.findings.tell(Event::Ntlm(Box::new(row))));
            }
            Carried::Unclear(_) | Carried::Other => {}
        }
    }

    fn rpc(&mut self, connection: &Connection, what: impl FnOnce(&mut Association, &mut Vec<RpcEvent>)) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        let Carried::Rpc(association) = &mut link.carried else { return };
        let mut told = Vec::new();
        what(association, &mut told);
        if told.is_empty() {
            return;
        }
        for one in &told {
            if let RpcEvent::Bound(bound) = one
                && let Some(address) = bound.secondary_address.as_ref().filter(|a| !a.is_empty())
            {
                link.rpc_address = Some(address.clone());
            }
        }
        let Some(head) = self.findings.ends.of(connection.id).map(|n| n.head.clone()) else { return };
        let over = Over { head: &head, pipe: link.rpc_address.as_deref(), account: None };
        let mut rows = Vec::new();
        for one in told {
            events(one, &over, link.rpc_logon.get_or_insert_default(), &self.findings.sessions.tickets, &mut rows);
        }
        rows.into_iter().for_each(|e| self.findings.tell(e));
    }

    fn kerberos_message(&mut self, connection: &Connection, bytes: &[u8], at: PacketRef) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        let Some(message) = KerberosMessage::parse(bytes) else { return };
        self.findings.sessions.tickets.learn(&message, at.time);
        let conversation = link.kerberos.get_or_insert_with(|| Box::new(KerberosConversation::new(head_of(connection))));
        let rows = conversation.message(at.time, &message, &self.findings.sessions.tickets);
        rows.into_iter().for_each(|row| self.findings.tell(Event::Kerberos(Box::new(row))));
    }

    fn dns_message(&mut self, connection: &Connection, bytes: &[u8], at: PacketRef) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        // Names come from answers, and rows of both.
        let is_answer = bytes.get(2).is_some_and(|flags| flags & 0x80 != 0);
        if !self.wants_dns && !is_answer {
            return;
        }
        let Some(message) = DnsMessage::parse(bytes) else { return };
        self.findings.names.learn_dns(&message, connection.server.port, at.time);
        if !self.wants_dns {
            return;
        }
        let proto = if connection.protocol == UDP { "udp" } else { "tcp" };
        let conversation =
            link.dns.get_or_insert_with(|| Box::new(DnsConversation::new(head_of(connection), proto, DnsLimits::default())));
        let rows = conversation.message(at.time, &message);
        rows.into_iter().for_each(|row| self.findings.tell(Event::Dns(Box::new(row))));
    }

    /// Another copy of bytes that were handed on: where its checksum alone is right it is the one that counts.
    fn other_copy(&mut self, connection: &Connection, way: Way, conflict: Conflict<'_>) {
        let files = self.findings.conflicts.of_files(connection.id, way, conflict.offset, conflict.bytes);
        if (conflict.first_valid, conflict.other_valid) == (Some(false), Some(true)) {
            for (of, bytes) in &files {
                self.findings.replace(of, bytes);
            }
        }
        let found: usize = files.iter().map(|f| f.1.len()).sum();
        if found < conflict.bytes.len() && way == Way::ToServer {
            // A request was read that may be another one.
            self.smb.misread(connection.id, conflict.at, &mut self.findings);
        }
    }

    fn dhcp_message(&mut self, connection: &Connection, way: Way, bytes: &[u8], at: PacketRef) {
        let Some(message) = DhcpMessage::parse(bytes) else { return };
        let Some(dhcp) = &mut self.dhcp else { return };
        let rows = dhcp.message(&head_of(connection).at(at.time), way == Way::ToServer, &message);
        for row in rows {
            self.findings.names.learn_dhcp(&row);
            self.findings.tell(Event::Dhcp(Box::new(row)));
        }
    }

    /// The uid of the connection that carries it, in a tunnel.
    fn tunnel_parents(&self, connection: &Connection) -> Vec<String> {
        connection.tunnel.and_then(|id| self.findings.ends.of(id)).map(|n| n.head.uid.clone()).into_iter().collect()
    }

    fn conn(&mut self, connection: &Connection, summary: &Summary, services: &[&'static str]) {
        let inside = self.findings.inside.take(connection.id);
        if !self.wants_conn {
            return;
        }
        let proto = match connection.protocol {
            TCP => "tcp",
            UDP => "udp",
            _ => "icmp",
        };
        let lasted = summary.duration_ns > 0;
        let mut services: Vec<&str> = services.iter().copied().chain(inside).collect();
        services.sort_unstable();
        services.dedup();
        let row = Conn {
            head: head_of(connection),
            proto,
            service: Some(services.join(",")).filter(|s| !s.is_empty()),
            duration: Some(interval(summary.duration_ns)).filter(|_| lasted),
            orig_bytes: Some(summary.client.payload_bytes).filter(|_| lasted),
            resp_bytes: Some(summary.server.payload_bytes).filter(|_| lasted),
            conn_state: Some(summary.state),
            local_orig: None,
            local_resp: None,
            missed_bytes: summary.missed_bytes,
            history: Some(summary.history.clone()).filter(|h| !h.is_empty()),
            orig_pkts: Some(summary.client.packets),
            orig_ip_bytes: Some(summary.client.ip_bytes),
            resp_pkts: Some(summary.server.packets),
            resp_ip_bytes: Some(summary.server.ip_bytes),
            tunnel_parents: self.tunnel_parents(connection),
            ip_proto: Some(connection.protocol),
            community_id: connection.community_id(),
        };
        self.findings.tell(Event::Conn(Box::new(row)));
    }
}

fn is_on_smb_port(connection: &Connection) -> bool {
    connection.protocol == TCP && PORTS_SMB.contains(&connection.server.port)
}

fn head_of(connection: &Connection) -> Head {
    Head { ts: connection.first.time, uid: connection.uid(), orig: connection.client, resp: connection.server }
}

impl Handler for Joiner<'_> {
    fn opened(&mut self, connection: &Connection) {
        self.findings.totals.connections += 1;
        self.unclear += usize::from(is_on_smb_port(connection));
        self.links.insert(connection.id, Link::default());
    }

    fn wants(&mut self, connection: &Connection) -> Interest {
        if !self.wants_bytes {
            return Interest::Unwanted;
        }
        match connection.protocol {
            TCP => self.links.get(&connection.id).map_or(Interest::Unwanted, |l| l.carried.interest()),
            UDP if PORTS_UDP.iter().any(|p| [connection.server.port, connection.client.port].contains(p)) => Interest::Wanted,
            _ => Interest::Unwanted,
        }
    }

    fn data(&mut self, connection: &Connection, way: Way, chunk: Chunk<'_>) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        if !matches!(link.carried, Carried::Unclear(_)) {
            return self.carried_data(connection, way, &chunk);
        }
        // A first message may come in pieces that are too short to tell.
        let mut first = std::mem::take(&mut link.few[side(way)]);
        let begins = chunk.offset.saturating_sub(first.len() as u64);
        first.extend_from_slice(chunk.bytes);
        self.decide(connection, way, &first);
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        if !matches!(link.carried, Carried::Unclear(_)) {
            return self.carried_data(connection, way, &Chunk { offset: begins, bytes: &first, at: chunk.at });
        }
        if first.len() <= FEW_BYTES && !connection.late_start {
            link.few[side(way)] = first;
        }
    }

    fn gap(&mut self, connection: &Connection, way: Way, _offset: u64, length: u64, _loss: Loss, at: PacketRef) {
        let Some(link) = self.links.get_mut(&connection.id) else { return };
        match &mut link.carried {
            Carried::Smb => {
                let (server, late) = (connection.server.ip, connection.late_start);
                self.smb.gap(connection.id, way, server, late, length, at, &mut self.findings);
            }
            Carried::Rpc(_) => self.rpc(connection, |a, out| a.lost(way, at, out)),
            Carried::Kerberos(streams) => streams[side(way)].lost(),
            Carried::Dns(streams) => streams[side(way)].lost(),
            Carried::Unclear(_) | Carried::Tokens(_) | Carried::Other => {}
        }
    }

    fn conflict(&mut self, connection: &Connection, way: Way, conflict: Conflict<'_>) {
        if matches!(self.links.get(&connection.id), Some(Link { carried: Carried::Smb, .. })) {
            let at = self.at.time;
            self.findings.odd("conflict", conflict.bytes.len() as u64, connection.id, |_| Some(head_of(connection).at(at)));
            let (offset, length) = (conflict.offset, conflict.bytes.len() as u64);
            let found = self.findings.conflicts.conflict(connection.id, way, offset, length, conflict.was_delivered);
            if conflict.was_delivered {
                self.other_copy(connection, way, conflict);
            }
            self.findings.in_conflict(&found);
        }
    }

    fn datagram(&mut self, connection: &Connection, way: Way, datagram: Datagram<'_>) {
        let ports = [connection.server.port, connection.client.port];
        let service = if PORTS_DNS.iter().any(|p| ports.contains(p)) {
            self.dns_message(connection, datagram.bytes, datagram.at);
            "dns"
        } else if ports.contains(&88) {
            self.kerberos_message(connection, datagram.bytes, datagram.at);
            "krb"
        } else {
            self.dhcp_message(connection, way, datagram.bytes, datagram.at);
            "dhcp"
        };
        if let Some(link) = self.links.get_mut(&connection.id)
            && link.services.is_empty()
        {
            link.services.push(service);
        }
    }

    fn closed(&mut self, connection: &Connection, summary: &Summary) {
        let is_rpc = matches!(self.links.get(&connection.id), Some(Link { carried: Carried::Rpc(_), .. }));
        if is_rpc {
            self.rpc(connection, Association::end);
        }
        let Some(link) = self.links.remove(&connection.id) else { return };
        if matches!(link.carried, Carried::Unclear(_)) {
            self.unclear -= usize::from(is_on_smb_port(connection));
        }
        if matches!(link.carried, Carried::Smb) {
            self.smb.end(connection.id, self.at, &mut self.findings);
            self.findings.drain_objects();
        }
        if let Some(dns) = link.dns {
            dns.finish().into_iter().for_each(|row| self.findings.tell(Event::Dns(Box::new(row))));
        }
        if let Some(row) = link.kerberos.and_then(|k| k.finish()) {
            self.findings.tell(Event::Kerberos(Box::new(row)));
        }
        self.conn(connection, summary, &link.services);
    }

    fn limit(&mut self, name: &'static str, _count: u64) {
        self.findings.oddities.odd(&mut self.findings.totals, name, 0, None);
    }
}
