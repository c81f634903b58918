//! `taploop flows`.

use super::output::{chain, fail};
use crate::cut::flows::flows;
use crate::ring::data::DataDir;
use crate::select::Request;
use crate::time::Timestamp;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    request: Request,
    /// JSON on standard output, one flow a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let selection = match args.request.resolve(Timestamp::now()) {
        Ok(selection) => selection,
        Err(e) => return fail(2, &chain(&e)),
    };
    let data = match DataDir::open(&args.data) {
        Ok(data) => data,
        Err(e) => return fail(2, &chain(&e)),
    };
    let (rows, coverage) = match flows(&data, &selection) {
        Ok(found) => found,
        Err(e) => return fail(if e.is_request() { 2 } else { 1 }, &chain(&e)),
    };
    let written = if args.json {
        let mut out = BufWriter::new(std::io::stdout().lock());
        rows.iter()
            .try_for_each(|row| writeln!(out, "{}", serde_json::to_string(row).unwrap_or_default()))
            .and_then(|()| out.flush())
    } else {
        for r in &rows {
            let port = |p: Option<u16>| p.map_or(String::new(), |p| format!(":{p}"));
            eprintln!(
                "{} {} {}{} <-> {}{} {} {} to {}, {} packets ({} bytes) ->, {} packets ({} bytes) <-",
                r.interface.escape_debug(),
                r.proto,
                r.a,
                port(r.a_port),
                r.b,
                port(r.b_port),
                r.community_id.as_deref().unwrap_or("-"),
                r.first,
                r.last,
                r.packets_a_to_b,
                r.bytes_a_to_b,
                r.packets_b_to_a,
                r.bytes_b_to_a
            );
        }
        Ok(())
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return fail(1, &e.to_string()),
        _ => {}
    }
    for reason in &coverage.reasons {
        eprintln!("taploop: {reason}");
    }
    ExitCode::from(if rows.is_empty() {
        3
    } else if coverage.complete {
        0
    } else {
        4
    })
}
