//! Which events are asked for: `conn,smb_files`.

/// A type of event, by its `_path`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventType {
    /// `conn`.
    Conn,
    /// `smb_mapping`.
    SmbMapping,
    /// `smb_files`.
    SmbFiles,
    /// `files`.
    Files,
    /// `ntlm`.
    Ntlm,
    /// `kerberos`.
    Kerberos,
    /// `dce_rpc`.
    DceRpc,
    /// `dns`.
    Dns,
    /// `dhcp`.
    Dhcp,
    /// `dir_list`.
    DirList,
    /// `pipe_stream`.
    PipeStream,
    /// `scheduled_task`.
    ScheduledTask,
    /// `service`.
    Service,
    /// `server_copy`.
    ServerCopy,
    /// `smb_sealed`.
    SmbSealed,
    /// `weird`.
    Weird,
}

impl EventType {
    /// All of them: Zeek's first, then our own.
    pub const ALL: [EventType; 16] = [
        EventType::Conn,
        EventType::SmbMapping,
        EventType::SmbFiles,
        EventType::Files,
        EventType::Ntlm,
        EventType::Kerberos,
        EventType::DceRpc,
        EventType::Dns,
        EventType::Dhcp,
        EventType::DirList,
        EventType::PipeStream,
        EventType::ScheduledTask,
        EventType::Service,
        EventType::ServerCopy,
        EventType::SmbSealed,
        EventType::Weird,
    ];

    /// Its `_path`.
    pub fn path(self) -> &'static str {
        match self {
            EventType::Conn => "conn",
            EventType::SmbMapping => "smb_mapping",
            EventType::SmbFiles => "smb_files",
            EventType::Files => "files",
            EventType::Ntlm => "ntlm",
            EventType::Kerberos => "kerberos",
            EventType::DceRpc => "dce_rpc",
            EventType::Dns => "dns",
            EventType::Dhcp => "dhcp",
            EventType::DirList => "dir_list",
            EventType::PipeStream => "pipe_stream",
            EventType::ScheduledTask => "scheduled_task",
            EventType::Service => "service",
            EventType::ServerCopy => "server_copy",
            EventType::SmbSealed => "smb_sealed",
            EventType::Weird => "weird",
        }
    }
}

/// No such type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no event type {name:?}; there are {}", EventType::ALL.map(EventType::path).join(", "))]
pub struct UnknownEventType {
    /// What was asked for.
    pub name: String,
}

/// A choice of types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventTypes {
    bits: u32,
}

impl EventTypes {
    /// Every type.
    pub const ALL: EventTypes = EventTypes { bits: (1 << EventType::ALL.len()) - 1 };

    /// Reads a list with commas. Blanks around names are allowed, and empty names passed over; a list without a name is all of them.
    ///
    /// # Errors
    /// A name that is no type.
    pub fn parse(list: &str) -> Result<EventTypes, UnknownEventType> {
        let mut bits = 0;
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let found = EventType::ALL.into_iter().find(|t| t.path() == name);
            bits |= 1 << found.ok_or_else(|| UnknownEventType { name: name.to_owned() })? as u16;
        }
        Ok(if bits == 0 { EventTypes::ALL } else { EventTypes { bits } })
    }

    /// Whether a type is among them.
    pub fn contains(self, event_type: EventType) -> bool {
        self.bits & (1 << event_type as u16) != 0
    }
}

impl Default for EventTypes {
    fn default() -> Self {
        EventTypes::ALL
    }
}

impl std::str::FromStr for EventTypes {
    type Err = UnknownEventType;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        EventTypes::parse(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists() {
        let chosen = EventTypes::parse("conn, smb_files,").unwrap();
        let names: Vec<_> = EventType::ALL.into_iter().filter(|&t| chosen.contains(t)).map(EventType::path).collect();
        assert_eq!(names, ["conn", "smb_files"]);
        assert_eq!(EventTypes::parse(""), Ok(EventTypes::ALL));
        assert!(EventType::ALL.into_iter().all(|t| EventTypes::ALL.contains(t)));
    }

    #[test]
    fn an_unknown_name_tells_the_known_ones() {
        let error = EventTypes::parse("conn,http").unwrap_err().to_string();
        assert!(error.starts_with("no event type \"http\"; there are conn, smb_mapping, smb_files"), "{error}");
        assert!(error.ends_with("scheduled_task, service, server_copy, smb_sealed, weird"));
    }
}
