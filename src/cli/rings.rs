//! `taploop rings`.

use super::output::{FAILED, Failure, chain, grouped, print_line, print_table, rough, say, size};
use super::record;
use super::target::print_json;
use crate::record::{State, read_state};
use crate::ring::data::{DataDir, Retention};
use crate::ring::forecast::Forecast;
use crate::ring::snapshot::{ReadContext, RingError, RingReader};
use crate::time::Timestamp;
use serde::Serialize;
use std::path::PathBuf;

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
struct Ring {
    interface: String,
    segments: u64,
    growing_segments: u64,
    packets: u64,
    bytes: u64,
    data_bytes: u64,
    index_bytes: u64,
    kept_segments: u64,
    kept_packets: u64,
    kept_bytes: u64,
    kept_first_packet: Option<Timestamp>,
    first_packet: Option<Timestamp>,
    last_packet: Option<Timestamp>,
    complete_to: Timestamp,
    drops: u64,
    damaged_segments: u64,
    recovered_packets: u64,
    retention: Retention,
    forecast: Option<Forecast>,
    /// What its recorder last said, if one is at work.
    recorder: Option<State>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let data = DataDir::open(&args.data)?;
    let context = ReadContext::default();
    let mut rings = Vec::new();
    let mut status = 0;
    for interface in data.interfaces()? {
        match look(&data, &interface, &context) {
            Ok((ring, damage)) => {
                rings.push(ring);
                for damage in damage {
                    say(&format!("interface {interface}: {damage}"));
                    status = FAILED;
                }
            }
            Err(e) => {
                say(&format!("the ring of interface {interface} cannot be read: {}", chain(&e)));
                status = FAILED;
            }
        }
    }
    if args.json {
        print_json(&rings)?;
    } else if rings.is_empty() && status == 0 {
        print_line(&format!("nothing was imported yet: `taploop import --data {} FILE`", args.data.display()));
    } else {
        print_rings(&rings);
        for (ring, state) in rings.iter().filter_map(|r| Some((r, r.recorder.as_ref()?))) {
            print_line(&format!("recording {}", record::line(&ring.interface, state)));
        }
    }
    if status != 0 {
        say(&format!("`taploop ring check --data {} --repair` mends what can be mended", args.data.display()));
    }
    Ok(status)
}

/// What a ring holds, and what is wrong with its catalogue and with what is kept of it.
fn look(data: &DataDir, interface: &str, context: &ReadContext) -> Result<(Ring, Vec<String>), RingError> {
    let ring = RingReader::open(data, interface, context)?;
    let held = ring.held()?;
    let sum = held.summary;
    let row = Ring {
        interface: ring.interface().to_string(),
        segments: sum.segments,
        growing_segments: held.growing,
        packets: sum.packets,
        bytes: sum.data_bytes.saturating_add(sum.index_bytes),
        data_bytes: sum.data_bytes,
        index_bytes: sum.index_bytes,
        kept_segments: held.kept.segments,
        kept_packets: held.kept.packets,
        kept_bytes: held.kept.data_bytes.saturating_add(held.kept.index_bytes),
        kept_first_packet: Some(held.kept.first).filter(|t| *t != Timestamp::MAX),
        first_packet: held.ring_first,
        last_packet: held.last,
        complete_to: held.complete_to,
        drops: sum.drops,
        damaged_segments: sum.damaged,
        recovered_packets: sum.recovered,
        retention: ring.info().retention,
        forecast: ring.forecast(&held, Timestamp::now())?,
        recorder: ring.is_written().then(|| read_state(data, interface)).flatten(),
    };
    let mut damage: Vec<String> =
        ring.catalog_damage().map(|damage| format!("{damage}; its segments were found without it")).into_iter().collect();
    damage.extend(ring.kept_damage().iter().map(|(path, reason)| format!("{}: {reason}", path.display())));
    Ok((row, damage))
}

fn forecast_text(retention: &Retention, forecast: Option<&Forecast>) -> String {
    let Some(f) = forecast else {
        return if *retention == Retention::default() { "no limit" } else { "empty" }.to_string();
    };
    let keeps = f.keeps_seconds.map(|s| format!("keeps about {}", rough(s)));
    let oldest = match f.oldest_dropped_in_seconds {
        Some(0) => Some("the oldest is dropped as new packets come".to_string()),
        Some(s) => Some(format!("the oldest is dropped in about {}", rough(s))),
        None if f.bytes_per_second == Some(0.0) => Some("nothing arrives, nothing is dropped".to_string()),
        None => None,
    };
    let parts: Vec<String> = [keeps, oldest].into_iter().flatten().collect();
    if parts.is_empty() { "too early to tell".to_string() } else { parts.join("; ") }
}

fn print_rings(rings: &[Ring]) {
    let head = [
        "interface",
        "first packet",
        "last packet",
        "complete to",
        "retention",
        "segments",
        "growing",
        "packets",
        "size",
        "index",
        "kept",
        "drops",
        "damaged",
        "recovered",
    ];
    let time = |t: Option<Timestamp>| t.map_or_else(|| "-".to_string(), |t| t.to_string());
    let rows = rings.iter().map(|r| {
        vec![
            r.interface.clone(),
            time(r.first_packet),
            time(r.last_packet),
            r.complete_to.to_string(),
            forecast_text(&r.retention, r.forecast.as_ref()),
            grouped(r.segments),
            grouped(r.growing_segments),
            grouped(r.packets),
            size(r.bytes),
            size(r.index_bytes),
            size(r.kept_bytes),
            grouped(r.drops),
            grouped(r.damaged_segments),
            grouped(r.recovered_packets),
        ]
    });
    print_table(&head, &rows.collect::<Vec<_>>(), 9);
}
