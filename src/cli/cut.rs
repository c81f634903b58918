//! `taploop cut`.

use super::output::{Failure, NOT_WHOLE, print_line};
use super::selection::{SelectionArgs, verdict};
use super::target::{Target, is_same_file, is_stdout, lies_in};
use crate::cut::{Format, cut};
use std::path::PathBuf;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// File format of the cut
    #[arg(long, value_enum, default_value = "pcapng", help_heading = "Output")]
    format: FormatName,
    /// Where the cut goes; - is standard output
    #[arg(short = 'w', long = "write", value_name = "FILE|-", default_value = "-", help_heading = "Output")]
    write: PathBuf,
    /// Where the coverage goes, as JSON; - is standard output
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    coverage: Option<PathBuf>,
    /// Tell on standard error what the cut cost
    #[arg(long, help_heading = "Output")]
    stats: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatName {
    Pcapng,
    Pcap,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(coverage) = &args.coverage {
        if is_stdout(coverage) && is_stdout(&args.write) {
            return Err(Failure::request("the cut and the coverage cannot both go to standard output: give one of them a file"));
        }
        if is_same_file(coverage, &args.write) {
            return Err(Failure::request("-w and --coverage name the same file: give each its own"));
        }
    }
    let (data, selection) = args.selection.open()?;
    for path in [Some(&args.write), args.coverage.as_ref()].into_iter().flatten().filter(|p| !is_stdout(p)) {
        if lies_in(path, data.path()) {
            let text = format!("{} lies in the data folder, where only rings are kept: give another place", path.display());
            return Err(Failure::request(text));
        }
    }
    // Before the work: a place that cannot be written is told at once.
    let mut target = Target::open(&args.write)?;
    if target.is_terminal() {
        return Err(Failure::request("a capture is not written to a terminal: use -w FILE or a pipe"));
    }
    let coverage = args.coverage.as_deref().map(Target::open).transpose()?;
    let format = match args.format {
        FormatName::Pcapng => Format::Pcapng,
        FormatName::Pcap => Format::Pcap,
    };
    let outcome = cut(&data, &selection, format, target.writer()).map_err(|e| Failure::of(&e, e.is_request()))?;
    if !outcome.reader_gone {
        target.finish()?;
    }
    if let Some(mut coverage) = coverage {
        coverage.write_json(&outcome.coverage)?;
        coverage.finish()?;
    }
    if args.stats {
        print_line(&outcome.stats.to_string());
    }
    // Whoever went away knows it: nothing is said.
    if outcome.reader_gone { Ok(NOT_WHOLE) } else { Ok(verdict(&outcome.coverage, outcome.packets > 0)) }
}
