//! `taploop ring check`.

use super::output::{FAILED, Failure, counted, print_line, shown};
use super::target::print_json;
use crate::ring::check::check;
use std::path::PathBuf;

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
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let report = check(&args.data, args.repair)?;
    if args.json {
        print_json(&report)?;
    }
    for f in &report.findings {
        let mended = if f.mended { " (mended)" } else { "" };
        let whose = if f.interface.is_empty() { String::new() } else { format!("{}: ", shown(&f.interface)) };
        print_line(&format!("{whose}{}: {}{mended}", shown(&f.file), shown(&f.problem)));
    }
    let left = report.findings.iter().filter(|f| !f.mended).count();
    let findings = counted(left as u64, "finding");
    print_line(&match (report.clean, left) {
        (true, _) => "no damage".to_string(),
        (false, 0) => "all that was found is mended".to_string(),
        (false, _) if args.repair => format!("{findings} could not be mended"),
        (false, _) => {
            format!("{findings}: `taploop ring check --data {} --repair` mends what can be mended", args.data.display())
        }
    });
    Ok(if left > 0 { FAILED } else { 0 })
}
