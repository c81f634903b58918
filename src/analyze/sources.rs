//! Where packets come from: capture files, or the selection of a ring.

use super::joiner::Analysis;
use super::terms::{AnalyzeError, Origins, Progress};
use crate::flow::{Input, PacketRef};
use crate::objects::export::Source;
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::Record;
use std::path::PathBuf;

/// Packets between two reports of progress.
const PROGRESS_PACKETS: u64 = 4096;

/// Reads capture files, one after another in the order given, into an analysis; says where packets were.
pub fn analyze_files(
    files: &[PathBuf],
    analysis: &mut Analysis<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Origins, AnalyzeError> {
    let sizes: Vec<u64> = files.iter().map(|f| std::fs::metadata(f).map_or(0, |m| m.len())).collect();
    let of = Some(sizes.iter().sum()).filter(|n| *n > 0);
    let (mut number, mut before) = (0, 0);
    for (source, (path, size)) in files.iter().zip(&sizes).enumerate() {
        let mut reader = CaptureReader::open(path)?;
        let mut link_types = Vec::new();
        loop {
            let read = reader.position();
            let known = reader.interfaces().len();
            if link_types.len() != known {
                link_types = reader.interfaces().iter().map(|i| i.link_type).collect();
            }
            let Some(record) = reader.next()? else { break };
            match record {
                Record::Packet { interface, position, packet } => {
                    number += 1;
                    let at = PacketRef { time: packet.time, number, source: source as u32, position };
                    let (data, original_length) = (packet.data, packet.original_length);
                    let Some(link_type) = link_types.get(interface as usize).copied() else {
                        // Described in the same step as its first packet.
                        let owned = data.to_vec();
                        link_types = reader.interfaces().iter().map(|i| i.link_type).collect();
                        if let Some(link_type) = link_types.get(interface as usize).copied() {
                            analysis.packet(&Input { at, link_type, data: &owned, original_length })?;
                        }
                        continue;
                    };
                    analysis.packet(&Input { at, link_type, data, original_length })?;
                    if number.is_multiple_of(PROGRESS_PACKETS) {
                        progress(&Progress { packets: number, done: before + read, of });
                    }
                }
                Record::Damage(damage) => {
                    analysis.warn(format!("{}: {damage}; what came before is read", path.display()));
                }
                _ => {}
            }
        }
        before += size;
    }
    progress(&Progress { packets: number, done: before, of });
    let sources = files.iter().map(|f| Source::File { file: f.display().to_string() }).collect();
    Ok(Origins { interfaces: Vec::new(), sources })
}
