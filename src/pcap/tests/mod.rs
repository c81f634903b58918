//! Files of every variant, made here; hostile ones; and the corpus.

mod classic;
mod compressed;
mod corpus;
mod hostile;
mod make;
mod ng;
mod refused;

use super::reader::CaptureReader;
use super::record::{Counters, Record, SourceInterface};
use std::io::Cursor;

/// A record with its bytes owned.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Owned {
    Packet {
        interface: u32,
        time: u64,
        original: u32,
        data: Vec<u8>,
        options: Vec<u8>,
    },
    /// Any other, as it prints.
    Other(String),
    Auxiliary(Vec<u8>),
    Damage(u64, String),
}

struct Outcome {
    records: Vec<Owned>,
    interfaces: Vec<SourceInterface>,
    counters: Counters,
}

impl Outcome {
    fn packets(&self) -> Vec<(u32, u64, u32, Vec<u8>)> {
        let packet = |record: &Owned| match record {
            Owned::Packet { interface, time, original, data, .. } => Some((*interface, *time, *original, data.clone())),
            _ => None,
        };
        self.records.iter().filter_map(packet).collect()
    }

    fn options(&self) -> Vec<Vec<u8>> {
        let options = |record: &Owned| match record {
            Owned::Packet { options, .. } => Some(options.clone()),
            _ => None,
        };
        self.records.iter().filter_map(options).collect()
    }

    fn damage(&self) -> Option<(u64, &str)> {
        match self.records.last() {
            Some(Owned::Damage(at, reason)) => Some((*at, reason)),
            _ => None,
        }
    }
}

fn owned(record: Record<'_>) -> Owned {
    match record {
        Record::Packet { interface, packet, .. } => Owned::Packet {
            interface,
            time: packet.time.as_nanos(),
            original: packet.original_length,
            data: packet.data.to_vec(),
            options: packet.options.to_vec(),
        },
        Record::Auxiliary { block, .. } => Owned::Auxiliary(block.to_vec()),
        Record::Damage(damage) => Owned::Damage(damage.position, damage.reason),
        other => Owned::Other(format!("{other:?}")),
    }
}

fn drain(mut reader: CaptureReader) -> Outcome {
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        records.push(owned(record));
    }
    assert!(reader.next().unwrap().is_none());
    Outcome { records, interfaces: reader.interfaces().to_vec(), counters: reader.counters() }
}

fn read(bytes: &[u8]) -> Outcome {
    drain(CaptureReader::from_reader("test", Box::new(Cursor::new(bytes.to_vec()))).unwrap())
}

/// Hands out one byte at a time, as a slow pipe does.
struct Trickle(Cursor<Vec<u8>>);

impl std::io::Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(1);
        self.0.read(&mut out[..n])
    }
}
