//! The reader of capture files: pcap or pcapng, plain or in gzip or zstd, told by content.

use super::classic::Classic;
use super::ng::Ng;
use super::record::{Counters, Record, SourceInterface};
use super::source::Source;
use super::{classic_header, looks, ng};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How many bytes of a foreign file are looked at, to say what it is.
const LOOKED_AT: usize = 4096;

/// Why a capture file cannot be read at all.
#[derive(thiserror::Error, Debug)]
pub enum OpenError {
    /// This machine cannot read it.
    #[error("cannot read {name}")]
    Io {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has no bytes.
    #[error("{name} is no capture file: it is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// It is something else.
    #[error(
        "{name} is no capture file that can be read (pcap or pcapng, plain or in gzip or zstd): it looks like {looks_like}{advice}"
    )]
    NotCapture {
        /// The file.
        name: String,
        /// What it looks like, with an article.
        looks_like: &'static str,
        /// "; " and what to do; or nothing.
        advice: String,
    },
    /// It begins as a capture file does and is unreadable from there on.
    #[error("{name} is no capture file that can be read: {reason}")]
    Header {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
}

/// This machine failed to read on. What was read before stands.
#[derive(thiserror::Error, Debug)]
#[error("cannot read on in {name} at byte {position}")]
pub struct ReadError {
    /// The file.
    pub name: String,
    /// Bytes read from it so far, before decompression.
    pub position: u64,
    /// Why.
    #[source]
    pub source: io::Error,
}

enum Format {
    Classic(Classic),
    Ng(Box<Ng>),
}

/// Reads one capture file, record by record, in bounded memory.
pub struct CaptureReader {
    name: String,
    source: Source,
    format: Format,
    interfaces: Vec<SourceInterface>,
    counters: Counters,
    size: Option<u64>,
    finished: bool,
}

impl CaptureReader {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path == Path::new("-") {
            return Self::from_reader("-", Box::new(io::stdin()));
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(OpenError::Io { name, source }),
        };
        let mut reader = Self::from_reader(&name, Box::new(file))?;
        reader.size = metadata.is_file().then_some(metadata.len());
        Ok(reader)
    }

    /// Reads from `input`, whose messages call it `name`; `-` is called "standard input".
    pub fn from_reader(name: &str, input: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        let name = if name == "-" { "standard input" } else { name }.to_owned();
        let opened = (|| {
            let mut source = Source::new(input)?;
            source.has(4)?;
            let mut interfaces = Vec::new();
            let format = match source.at_hand().first_chunk() {
                Some(&first) if classic_header::is_magic(first) => {
                    Classic::new(&mut source, &mut interfaces)?.map(Format::Classic)
                }
                Some(&first) if ng::is_magic(first) => Ok(Format::Ng(Box::new(Ng::new()))),
                _ => {
                    source.has(LOOKED_AT)?;
                    Err(String::new())
                }
            };
            Ok((source, format, interfaces))
        })();
        let (source, format, interfaces) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(OpenError::Io { name, source }),
        };
        let format = match format {
            Ok(format) => format,
            Err(reason) if reason.is_empty() => return Err(foreign(name, &source)),
            Err(reason) => return Err(OpenError::Header { name, reason }),
        };
        Ok(CaptureReader { name, source, format, interfaces, counters: Counters::default(), size: None, finished: false })
    }

    /// The next record; `None` at the end of the file and after [`Record::Damage`]. An error is this machine's failure to read,
    /// after which the reader is of no more use.
    #[expect(clippy::should_implement_trait, reason = "a record borrows the reader, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        if self.finished {
            return Ok(None);
        }
        let position = self.source.raw_position();
        let next = match &mut self.format {
            Format::Classic(classic) => classic.next(&mut self.source),
            Format::Ng(ng) => ng.next(&mut self.source, &mut self.interfaces, &mut self.counters),
        };
        match next {
            Ok(record) => {
                match &record {
                    Some(Record::Packet { .. }) => self.counters.packets += 1,
                    None | Some(Record::Damage(_)) => self.finished = true,
                    Some(_) => {}
                }
                Ok(record)
            }
            Err(source) => Err(ReadError { name: self.name.clone(), position, source }),
        }
    }

    /// The interfaces described so far, over all sections. Packets name them by their index here.
    pub fn interfaces(&self) -> &[SourceInterface] {
        &self.interfaces
    }

    /// Whether further interfaces may be described: not in classic pcap.
    pub fn may_describe_more(&self) -> bool {
        matches!(self.format, Format::Ng(_))
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters { position: self.position(), size: self.size, ..self.counters }
    }

    /// Bytes read from the underlying file, before decompression; a little ahead of the records.
    pub fn position(&self) -> u64 {
        self.source.raw_position()
    }

    /// The underlying file's size in bytes, where it is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// What the file is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Says what a file is that does not begin as a capture file does.
fn foreign(name: String, source: &Source) -> OpenError {
    let head = source.at_hand();
    if let Some(fault) = source.fault()
        && head.len() < 4
    {
        return OpenError::Header { name, reason: fault.to_owned() };
    }
    if head.is_empty() {
        return OpenError::Empty { name };
    }
    let looks = looks::judge(&head[..head.len().min(LOOKED_AT)]);
    let advice = match looks.advice {
        looks::Advice::Convert => "; convert it first: editcap -F pcapng IN OUT.pcapng".to_owned(),
        looks::Advice::Unpack(with) => format!("; unpack it first: {with}"),
        looks::Advice::Nothing => String::new(),
    };
    OpenError::NotCapture { name, looks_like: looks.like, advice }
}
