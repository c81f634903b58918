//! `taploop rings`.

use super::output::{chain, fail};
use crate::ring::data::{DataDir, Retention};
use crate::ring::snapshot::{ReadContext, RingError, RingReader};
use crate::time::{SECOND_NS, Timestamp};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    interface: String,
    segments: u64,
    growing_segments: u64,
    packets: u64,
    bytes: u64,
    data_bytes: u64,
    index_bytes: u64,
    first_packet: Option<Timestamp>,
    last_packet: Option<Timestamp>,
    complete_to: Timestamp,
    drops: u64,
    damaged_segments: u64,
    recovered_packets: u64,
    retention: Retention,
    forecast: String,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let data = match DataDir::open(&args.data) {
        Ok(data) => data,
        Err(e) => return fail(2, &chain(&e)),
    };
    let interfaces = match data.interfaces() {
        Ok(interfaces) => interfaces,
        Err(e) => return fail(1, &chain(&e)),
    };
    let context = ReadContext::default();
    let mut rows = Vec::new();
    for interface in interfaces {
        match row(&data, &interface, &context) {
            Ok(row) => rows.push(row),
            Err(e) => return fail(1, &chain(&e)),
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&rows).unwrap_or_default();
        return match writeln!(std::io::stdout(), "{text}") {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => fail(1, &e.to_string()),
            _ => ExitCode::SUCCESS,
        };
    }
    if rows.is_empty() {
        eprintln!("nothing was imported yet: `taploop import --data {} FILE`", args.data.display());
    }
    for r in rows {
        let time = |t: Option<Timestamp>| t.map_or("-".to_string(), |t| t.to_string());
        eprintln!(
            "{}: {} packets in {} segments ({} growing), {} bytes (index {}), first {}, last {}, complete to {}, {} drops, {} damaged, {} packets recovered; {}",
            r.interface.escape_debug(),
            r.packets,
            r.segments,
            r.growing_segments,
            r.bytes,
            r.index_bytes,
            time(r.first_packet),
            time(r.last_packet),
            r.complete_to,
            r.drops,
            r.damaged_segments,
            r.recovered_packets,
            r.forecast
        );
    }
    ExitCode::SUCCESS
}

fn row(data: &DataDir, interface: &str, context: &ReadContext) -> Result<Row, RingError> {
    let ring = RingReader::open(data, interface, context)?;
    let held = ring.held()?;
    let s = held.summary;
    let retention = ring.info().retention;
    let bytes = s.data_bytes + s.index_bytes;
    let span = s.arrived_last.since(s.arrived_first) / SECOND_NS;
    let forecast = match retention.max_bytes {
        None if retention.max_age_seconds.is_none() && retention.min_free_bytes.is_none() => "no limit set".to_string(),
        Some(max) if bytes > 0 && span > 0 => {
            let left = max.saturating_sub(bytes) / (bytes / span).max(1);
            format!("at the rate held, the limit of {max} bytes is reached in {left} s")
        }
        Some(max) => format!("limit {max} bytes"),
        None => "limited by age or free space".to_string(),
    };
    Ok(Row {
        interface: ring.interface().to_string(),
        segments: s.segments,
        growing_segments: held.growing,
        packets: s.packets,
        bytes,
        data_bytes: s.data_bytes,
        index_bytes: s.index_bytes,
        first_packet: held.first,
        last_packet: held.last,
        complete_to: held.complete_to,
        drops: s.drops,
        damaged_segments: s.damaged,
        recovered_packets: s.recovered,
        retention,
        forecast,
    })
}
