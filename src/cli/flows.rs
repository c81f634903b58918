//! `taploop flows`.

use super::output::{Failure, NOT_WHOLE, counted, grouped, print_table, say};
use super::selection::{SelectionArgs, verdict};
use crate::cut::flows::{Flows, flows};
use std::io::{self, BufWriter, Write};

/// Flows that people get to see.
const FLOWS_TOLD: usize = 10_000;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// JSON on standard output, one flow a line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let (data, selection) = args.selection.open()?;
    let (found, coverage) = flows(&data, &selection).map_err(|e| Failure::of(&e, e.is_request()))?;
    if args.json {
        match print_json_lines(&found) {
            // Whoever went away knows it: nothing is said.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(NOT_WHOLE),
            Err(e) => return Err(Failure::failed(format!("standard output cannot be written: {e}"))),
            Ok(()) => {}
        }
    } else if !found.is_empty() {
        print_rows(&found);
    }
    Ok(verdict(&coverage, !found.is_empty()))
}

fn print_json_lines(flows: &Flows) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for row in flows.rows() {
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Packets and bytes are sent by the first end, and received by it.
fn print_rows(flows: &Flows) {
    let head = [
        "proto",
        "end",
        "other end",
        "vlan",
        "community id",
        "interface",
        "first",
        "last",
        "packets ->",
        "<- packets",
        "bytes ->",
        "<- bytes",
    ];
    let end = |address: std::net::IpAddr, port: Option<u16>| match (address, port) {
        (std::net::IpAddr::V6(a), Some(port)) => format!("[{a}]:{port}"),
        (a, Some(port)) => format!("{a}:{port}"),
        (a, None) => a.to_string(),
    };
    let lines = flows.rows().take(FLOWS_TOLD).map(|r| {
        let vlan: Vec<String> = r.vlan.iter().map(ToString::to_string).collect();
        let mut line = vec![
            r.proto.clone(),
            end(r.a, r.a_port),
            end(r.b, r.b_port),
            if vlan.is_empty() { "-".into() } else { vlan.join(",") },
            r.community_id.clone().unwrap_or_else(|| "-".into()),
            r.interface.clone(),
            r.first.to_string(),
            r.last.to_string(),
        ];
        line.extend([r.packets_a_to_b, r.packets_b_to_a, r.bytes_a_to_b, r.bytes_b_to_a].map(grouped));
        line
    });
    print_table(&head, &lines.collect::<Vec<_>>(), 4);
    let more = flows.len().saturating_sub(FLOWS_TOLD);
    if more > 0 {
        say(&format!("{} more: --json lists them", counted(more as u64, "flow")));
    }
}
