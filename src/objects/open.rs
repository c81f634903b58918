//! One open, from its CREATE to its CLOSE: what is read and written through it, and what is said of it.

use super::error::StoreError;
use super::job::{Finish, Job};
use super::losses::Watch;
use super::missing::{Absence, Missing, Span, Why};
use super::ranges::RangeSet;
use super::reading::Reading;
use super::size::SizeSource;
use super::transfer::{Content, Transfer};
use super::versions::{Tools, Version};
use super::writing::Writing;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::{Action, OpenId, Opened, SessionId, TreeId};

/// FILE_READ_DATA, FILE_WRITE_DATA, FILE_APPEND_DATA, MAXIMUM_ALLOWED, GENERIC_ALL, GENERIC_WRITE, GENERIC_READ: [MS-SMB2] 2.2.13.1.1.
const DATA_ACCESS: u32 = 0x0000_0001 | 0x0000_0002 | 0x0000_0004 | 0x0200_0000 | 0x1000_0000 | 0x4000_0000 | 0x8000_0000;

/// Of those the ones that read, and the ones that may write.
const READ_ACCESS: u32 = 0x0000_0001 | 0x8000_0000;
const WRITE_ACCESS: u32 = DATA_ACCESS & !READ_ACCESS;

/// FILE_OPENED: of the four CreateActions of a success the one that leaves the content as it is, [MS-SMB2] 2.2.14.
const FILE_OPENED: u32 = 1;

/// One open that forms.
#[derive(Debug)]
pub(super) struct Open {
    id: OpenId,
    connection: ConnectionId,
    pub(super) session: Option<SessionId>,
    tree: Option<TreeId>,
    file: Opened,
    created: Option<PacketRef>,
    first: PacketRef,
    last: PacketRef,
    /// What is read.
    pub(super) reading: Reading,
    /// What is written.
    pub(super) writing: Writing,
    /// The new name.
    pub(super) renamed_to: Option<String>,
    /// It was deleted.
    pub(super) deleted: bool,
    /// From where the server copied.
    pub(super) copied_from: Option<(Option<OpenId>, Option<String>)>,
    /// Messages of its session that could not be decrypted, when it began.
    pub(super) sealed_before: u64,
    /// What requests were lost where it is used: since it began, and since its size was told.
    pub(super) watch: Watch,
    /// Requests of it came after its CLOSE, and are not in it.
    pub(super) incomplete: bool,
    /// A limit ended it early.
    pub(super) limited: bool,
    size_at_open: Option<u64>,
}

/// How an open ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// A CLOSE was answered with success.
    pub(super) success: bool,
    /// The CLOSE.
    pub(super) at: Option<PacketRef>,
    /// Messages of the session could not be decrypted meanwhile.
    pub(super) sealed: bool,
    /// Requests of its sessions and connections were lost meanwhile.
    pub(super) requests_lost: bool,
    /// That was so after the size of what was written was told last.
    pub(super) size_in_doubt: bool,
    /// Whether there is a window that bytes are counted in.
    pub(super) window: bool,
}

impl Open {
    /// A new one, first told of in a packet.
    pub(super) fn new(id: OpenId, connection: ConnectionId, at: PacketRef, reading: Reading, writing: Writing) -> Open {
        Open {
            id,
            connection,
            session: None,
            tree: None,
            file: Opened::default(),
            created: None,
            first: at,
            last: at,
            reading,
            writing,
            renamed_to: None,
            deleted: false,
            copied_from: None,
            sealed_before: 0,
            watch: Watch::default(),
            incomplete: false,
            limited: false,
            size_at_open: None,
        }
    }

    /// Something was told of it.
    pub(super) fn seen(&mut self, session: Option<SessionId>, tree: Option<TreeId>) {
        self.session = self.session.or(session);
        self.tree = self.tree.or(tree);
    }

    /// Data came in a packet, or was lost, or asked for.
    pub(super) fn active(&mut self, first: PacketRef, last: PacketRef) {
        let none = self.reading.current.is_none() && !self.writing.begun();
        if none && self.created.is_none() {
            self.first = first;
        }
        if none || (last.time, last.number) > (self.last.time, self.last.number) {
            self.last = last;
        }
    }

    /// The connection it was first seen on.
    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Its file id, as on the wire.
    pub(super) fn file_id(&self) -> &[u8] {
        &self.file.file_id
    }

    /// Whether requests that were lost may have changed what was written, its size or how much there is of it.
    pub(super) fn hangs_on_requests(&self) -> bool {
        !self.file.directory && (self.writing.begun() || self.made()) && !self.writing.size.is_final()
    }

    /// Whether its CREATE was seen.
    pub(super) fn is_named(&self) -> bool {
        self.file.name.is_some() || self.file.answered
    }

    /// The name, as known.
    pub(super) fn name(&self) -> Option<&String> {
        self.file.name.as_ref()
    }

    /// More is known of it.
    pub(super) fn opened(&mut self, tools: &mut Tools<'_>, at: PacketRef, file: Opened) -> Result<(), StoreError> {
        if file.name.is_some() || file.answered {
            self.created.get_or_insert(at);
        }
        if let Some(size) = file.size {
            match self.size_at_open {
                None => {
                    self.size_at_open = Some(size);
                    let emptied = file.create_action.is_some_and(|action| action != FILE_OPENED);
                    self.writing.size.opened(if emptied { 0 } else { size });
                    self.reading.told(size, crate::smb::event::SizeFrom::Create);
                }
                // Opened again (a durable reconnect): what it tells then is news only where it is not what was told first.
                Some(before) if before != size => {
                    self.writing.told(tools, size, crate::smb::event::SizeFrom::Create)?;
                    self.reading.told(size, crate::smb::event::SizeFrom::Create);
                }
                Some(_) => {}
            }
        } else if file.create_action.is_some_and(|action| action != FILE_OPENED) && self.size_at_open.is_none() {
            self.size_at_open = Some(0);
            self.writing.size.opened(0);
        }
        let known = std::mem::take(&mut self.file);
        self.file = Opened {
            name: file.name.or(known.name),
            stream: file.stream.or(known.stream),
            file_id: if file.file_id.is_empty() { known.file_id } else { file.file_id },
            create_action: known.create_action.or(file.create_action),
            access: known.access.or(file.access),
            disposition: known.disposition.or(file.disposition),
            options: known.options.or(file.options),
            size: known.size.or(file.size),
            attributes: file.attributes.or(known.attributes),
            times: if file.times == [0; 4] { known.times } else { file.times },
            directory: known.directory || file.directory,
            answered: known.answered || file.answered,
        };
        Ok(())
    }

    /// Whether it made a file, or emptied one, with access to its data; or set its size.
    fn made(&self) -> bool {
        let data = self.file.access.is_some_and(|access| access & DATA_ACCESS != 0);
        let emptied = self.file.create_action.is_some_and(|action| action != FILE_OPENED);
        !self.file.directory && (emptied && data || self.writing.size.was_set())
    }

    /// Whether a file that was there was opened to read its data and nothing else. Of an empty one clients then ask for no byte.
    fn opened_to_read(&self) -> bool {
        let reads = |access: u32| access & READ_ACCESS != 0 && access & WRITE_ACCESS == 0;
        self.file.create_action == Some(FILE_OPENED) && self.file.access.is_some_and(reads)
    }

    /// Ends it: hands what was read and written to be finished.
    pub(super) fn end(mut self, tools: &mut Tools<'_>, ending: Ending) -> Result<(), StoreError> {
        if self.file.directory {
            return self.discard(tools);
        }
        if ending.success && self.opened_to_read() && !ending.requests_lost {
            self.reading.may_be_empty();
        }
        let read_size = self.reading.end(tools)?;
        self.hand_over_reads(tools, ending, read_size)?;
        if !self.writing.begun() && self.made() {
            self.writing.current(tools);
        }
        let write_size = self.writing.end(tools)?;
        self.hand_over_writes(tools, ending, write_size)
    }

    fn hand_over_reads(
        &mut self,
        tools: &mut Tools<'_>,
        ending: Ending,
        size: Option<(u64, SizeSource)>,
    ) -> Result<(), StoreError> {
        let asked = std::mem::replace(&mut self.reading.asked, RangeSet::new(0));
        let mut versions = std::mem::take(&mut self.reading.before);
        versions.extend(self.reading.current.take().map(|mut version| {
            version.size_then = size;
            version
        }));
        let many = u32::try_from(versions.len()).unwrap_or(u32::MAX).saturating_add(self.reading.versions_dropped);
        let provenance = self.reading.sidecar.as_ref().and_then(|s| s.path()).map(ToOwned::to_owned);
        for version in versions {
            if version.tally.packets == 0
                && version.seen.is_empty()
                && version.reasons.is_empty()
                && asked.is_empty()
                && size.is_none()
            {
                tools.disk.discard(version.body)?;
                continue;
            }
            let absence = Absence {
                seen: &version.seen,
                reasons: &version.reasons,
                conflicts: &version.conflicts,
                asked: &asked,
                sealed: ending.sealed,
            };
            let end = version.size_then.map_or(version.seen.end().max(version.reasons.end()).max(asked.end()), |s| s.0);
            // Between what was asked for lay what was asked for, too; beyond it nothing says so.
            let between = if ending.requests_lost { version.seen.end().max(asked.end()) } else { 0 };
            let missing = absence.list(end, &[(between, Why::Lost), (u64::MAX, Why::NotRequested)]);
            let limited = self.limited || self.reading.versions_dropped > 0;
            let told = Told {
                missing,
                limited,
                needs_close: false,
                provenance: provenance.clone(),
                action: Action::Read,
                versions: many,
            };
            self.hand_over(tools, version, ending, told);
        }
        Ok(())
    }

    fn hand_over_writes(
        &mut self,
        tools: &mut Tools<'_>,
        ending: Ending,
        size: Option<(u64, SizeSource)>,
    ) -> Result<(), StoreError> {
        let mut versions = std::mem::take(&mut self.writing.before);
        let needs_close = self.writing.size.needs_close();
        versions.iter_mut().for_each(|version| version.in_doubt = ending.requests_lost);
        versions.extend(self.writing.current.take().map(|mut version| {
            version.size_then = size;
            version.not_closed = needs_close && !ending.success;
            version.in_doubt = ending.size_in_doubt && !self.writing.size.is_final();
            version
        }));
        let many = u32::try_from(versions.len()).unwrap_or(u32::MAX).saturating_add(self.writing.versions_dropped);
        let none = RangeSet::new(0);
        let provenance = self.writing.sidecar.as_ref().and_then(|s| s.path()).map(ToOwned::to_owned);
        for mut version in versions {
            // All its WRITEs were refused, and it made nothing.
            if version.seen.is_empty() && version.reasons.is_empty() && !version.limited && !self.made() {
                tools.disk.discard(version.body)?;
                continue;
            }
            let absence = Absence {
                seen: &version.seen,
                reasons: &version.reasons,
                conflicts: &version.conflicts,
                asked: &none,
                sealed: ending.sealed,
            };
            let end = version.size_then.map_or(version.seen.end().max(version.reasons.end()), |s| s.0);
            if version.in_doubt {
                // It may have become longer or shorter by what was lost.
                version.size_then = None;
            }
            let old_end = self.writing.size.old_end().unwrap_or(u64::MAX);
            let grown = if ending.requests_lost { Why::Lost } else { Why::NeverWritten };
            let missing = absence.list(end, &[(old_end, Why::NotRewritten), (u64::MAX, grown)]);
            let limited = self.limited || self.writing.versions_dropped > 0;
            let told = Told {
                missing,
                limited,
                needs_close: version.not_closed,
                provenance: provenance.clone(),
                action: Action::Write,
                versions: many,
            };
            self.hand_over(tools, version, ending, told);
        }
        Ok(())
    }

    fn hand_over(&self, tools: &mut Tools<'_>, version: Version, ending: Ending, told: Told) {
        let size = version.size_then;
        let complete = size.is_some() && told.missing.is_empty() && !told.needs_close && version.conflicts.is_empty();
        let (first, last) = version.tally.ends.unwrap_or((self.created.unwrap_or(self.first), ending.at.unwrap_or(self.last)));
        let transfer = Transfer {
            open: self.id,
            connection: self.connection,
            session: self.session,
            tree: self.tree,
            file: self.file.clone(),
            action: told.action,
            version: version.number,
            versions: told.versions,
            ts: self.created.unwrap_or(self.first).time,
            ts_end: ending.at.unwrap_or(self.last).time,
            size: size.map(|s| s.0),
            size_from: size.map(|s| s.1),
            seen_bytes: version.seen.total(),
            bytes_in_window: ending.window.then_some(version.in_window.min(version.seen.total())),
            missing: told.missing,
            conflicts: version.conflicts.iter().map(|(from, to, ())| Span { from, to }).collect(),
            unconfirmed: version.unconfirmed,
            complete,
            closed: ending.success,
            encrypted: version.tally.encrypted,
            compressed: version.tally.compressed,
            renamed_to: self.renamed_to.clone(),
            deleted: self.deleted,
            copied_from: if told.action == Action::Write { self.copied_from.clone() } else { None },
            packets: version.tally.packets,
            first_packet: first,
            last_packet: last,
            limited: told.limited || version.limited,
            provenance: told.provenance,
            content: Content::default(),
        };
        let finish = Finish {
            content: version.body.number,
            hashed: version.hashed(),
            seen: version.seen.pairs(),
            formed: tools.disk.hand_over(version.body),
            transfer,
        };
        tools.jobs.push(Job::Finish(Box::new(finish)));
    }

    /// It is no file: everything of it is removed.
    pub(super) fn discard(mut self, tools: &mut Tools<'_>) -> Result<(), StoreError> {
        self.writing.forget_pending(tools)?;
        let mut versions = std::mem::take(&mut self.reading.before);
        versions.append(&mut self.writing.before);
        versions.extend(self.reading.current.take());
        versions.extend(self.writing.current.take());
        for mut version in versions {
            version.hash_at_end(tools);
            tools.disk.discard(version.body)?;
        }
        Ok(())
    }

    /// Bytes of memory it takes, about.
    pub(super) fn cost(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let copied = self.copied_from.as_ref().map_or(0, |c| text(&c.1));
        1_024
            + text(&self.file.name)
            + text(&self.file.stream)
            + text(&self.renamed_to)
            + copied
            + self.file.file_id.len()
            + self.reading.cost()
            + self.writing.cost()
    }
}

struct Told {
    missing: Vec<Missing>,
    limited: bool,
    needs_close: bool,
    provenance: Option<std::path::PathBuf>,
    action: Action,
    versions: u32,
}
