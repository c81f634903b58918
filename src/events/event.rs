//! Any event, and its line of JSON.

use super::conn::Conn;
use super::dce_rpc::DceRpc;
use super::dhcp::Dhcp;
use super::dir_list::DirList;
use super::dns::Dns;
use super::event_types::EventType;
use super::files::Files;
use super::kerberos::Kerberos;
use super::ntlm::Ntlm;
use super::pipe_stream::PipeStream;
use super::scheduled_task::ScheduledTask;
use super::server_copy::ServerCopy;
use super::service::Service;
use super::smb_files::SmbFiles;
use super::smb_mapping::SmbMapping;
use super::smb_sealed::SmbSealed;
use super::weird::Weird;
use crate::time::Timestamp;
use serde::Serialize;

/// An event. Serializes to one flat object that begins with `_path`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "_path", rename_all = "snake_case")]
pub enum Event {
    /// A connection.
    Conn(Box<Conn>),
    /// A tree connect.
    SmbMapping(Box<SmbMapping>),
    /// Something done to a file or pipe.
    SmbFiles(Box<SmbFiles>),
    /// A movement of content.
    Files(Box<Files>),
    /// A logon with NTLM.
    Ntlm(Box<Ntlm>),
    /// A Kerberos exchange.
    Kerberos(Box<Kerberos>),
    /// A remote call.
    DceRpc(Box<DceRpc>),
    /// A DNS question and its answer.
    Dns(Box<Dns>),
    /// A DHCP conversation.
    Dhcp(Box<Dhcp>),
    /// A directory listing.
    DirList(Box<DirList>),
    /// The bytes of a pipe without DCE/RPC.
    PipeStream(Box<PipeStream>),
    /// Something done to a scheduled task.
    ScheduledTask(Box<ScheduledTask>),
    /// Something done to a service.
    Service(Box<Service>),
    /// The server copied or zeroed a range.
    ServerCopy(Box<ServerCopy>),
    /// Encrypted messages that could not be opened.
    SmbSealed(Box<SmbSealed>),
    /// Something that should not be.
    Weird(Box<Weird>),
}

impl Event {
    /// Its type.
    pub fn event_type(&self) -> EventType {
        match self {
            Event::Conn(_) => EventType::Conn,
            Event::SmbMapping(_) => EventType::SmbMapping,
            Event::SmbFiles(_) => EventType::SmbFiles,
            Event::Files(_) => EventType::Files,
            Event::Ntlm(_) => EventType::Ntlm,
            Event::Kerberos(_) => EventType::Kerberos,
            Event::DceRpc(_) => EventType::DceRpc,
            Event::Dns(_) => EventType::Dns,
            Event::Dhcp(_) => EventType::Dhcp,
            Event::DirList(_) => EventType::DirList,
            Event::PipeStream(_) => EventType::PipeStream,
            Event::ScheduledTask(_) => EventType::ScheduledTask,
            Event::Service(_) => EventType::Service,
            Event::ServerCopy(_) => EventType::ServerCopy,
            Event::SmbSealed(_) => EventType::SmbSealed,
            Event::Weird(_) => EventType::Weird,
        }
    }

    /// Its `_path`.
    pub fn path(&self) -> &'static str {
        self.event_type().path()
    }

    /// Its `ts`.
    pub fn ts(&self) -> Timestamp {
        match self {
            Event::Conn(row) => row.head.ts,
            Event::SmbMapping(row) => row.head.ts,
            Event::SmbFiles(row) => row.head.ts,
            Event::Files(row) => row.head.ts,
            Event::Ntlm(row) => row.head.ts,
            Event::Kerberos(row) => row.head.ts,
            Event::DceRpc(row) => row.head.ts,
            Event::Dns(row) => row.head.ts,
            Event::Dhcp(row) => row.moment.0,
            Event::DirList(row) => row.head.ts,
            Event::PipeStream(row) => row.head.ts,
            Event::ScheduledTask(row) => row.head.ts,
            Event::Service(row) => row.head.ts,
            Event::ServerCopy(row) => row.head.ts,
            Event::SmbSealed(row) => row.head.ts,
            Event::Weird(row) => row.head.ts,
        }
    }

    /// Its line of JSON, without the newline.
    pub fn to_json_line(&self) -> String {
        // Strings as keys and finite numbers: nothing in a row can fail to serialize; an empty object stands for what cannot happen.
        serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"_path\":\"{}\"}}", self.path()))
    }
}

macro_rules! from_rows {
    ($($name:ident),*) => {
        $(impl From<$name> for Event {
            fn from(row: $name) -> Event {
                Event::$name(Box::new(row))
            }
        })*
    };
}

from_rows!(
    Conn,
    SmbMapping,
    SmbFiles,
    Files,
    Ntlm,
    Kerberos,
    DceRpc,
    Dns,
    Dhcp,
    DirList,
    PipeStream,
    ScheduledTask,
    Service,
    ServerCopy,
    SmbSealed,
    Weird
);

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
