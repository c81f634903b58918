//! `taploop ring check`.

use super::output::{chain, fail};
use crate::ring::check::check;
use crate::ring::data::DataDir;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let report = match DataDir::open(&args.data).and_then(|data| check(&data, args.repair)) {
        Ok(report) => report,
        Err(e) => return fail(2, &chain(&e)),
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(e) = writeln!(std::io::stdout(), "{text}") {
            return fail(1, &e.to_string());
        }
    }
    for f in &report.findings {
        let mended = if f.mended { " (mended)" } else { "" };
        eprintln!("{}: {}: {}{mended}", f.interface.escape_debug(), f.file.escape_debug(), f.problem.escape_debug());
    }
    let left = report.findings.iter().filter(|f| !f.mended).count();
    match (report.clean, left) {
        (true, _) => eprintln!("no damage"),
        (false, 0) => eprintln!("all that was found is mended"),
        (false, _) if args.repair => eprintln!("{left} findings could not be mended"),
        (false, _) => eprintln!("{left} findings: `taploop ring check --repair` mends what can be mended"),
    }
    ExitCode::from(u8::from(left > 0))
}
