//! `taploop cut`.

use super::output::{chain, fail};
use crate::cut::{CutError, Format, Outcome, cut};
use crate::ring::data::DataDir;
use crate::select::{Request, Selection};
use crate::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    request: Request,
    /// File format of the cut
    #[arg(long, value_enum, default_value = "pcapng")]
    format: FormatName,
    /// Where the cut goes; - is standard output
    #[arg(short = 'w', long = "write", value_name = "FILE", default_value = "-")]
    write: PathBuf,
    /// Where the coverage goes, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// Tell on standard error what the cut cost
    #[arg(long)]
    stats: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatName {
    Pcapng,
    Pcap,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let to_stdout = args.write == Path::new("-");
    if to_stdout && args.coverage.as_deref() == Some(Path::new("-")) {
        return fail(2, "the cut and the coverage cannot both go to standard output: give one of them a file");
    }
    if to_stdout && io::stdout().is_terminal() {
        return fail(2, "a capture is not written to a terminal: use -w FILE or a pipe");
    }
    let selection = match args.request.resolve(Timestamp::now()) {
        Ok(selection) => selection,
        Err(e) => return fail(2, &chain(&e)),
    };
    let data = match DataDir::open(&args.data) {
        Ok(data) => data,
        Err(e) => return fail(2, &chain(&e)),
    };
    let format = match args.format {
        FormatName::Pcapng => Format::Pcapng,
        FormatName::Pcap => Format::Pcap,
    };
    let result = if to_stdout {
        cut(&data, &selection, format, &mut io::stdout().lock())
    } else {
        to_file(&data, &selection, format, &args.write)
    };
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(e) => return fail(if e.is_request() { 2 } else { 1 }, &chain(&e)),
    };
    if outcome.reader_gone {
        return ExitCode::SUCCESS;
    }
    report(args, &outcome)
}

fn report(args: &Args, outcome: &Outcome) -> ExitCode {
    let coverage = &outcome.coverage;
    if let Some(path) = &args.coverage {
        let text = serde_json::to_string_pretty(coverage).unwrap_or_default() + "\n";
        let written = if path == Path::new("-") { io::stdout().write_all(text.as_bytes()) } else { fs::write(path, text) };
        if let Err(e) = written {
            return fail(1, &format!("{}: {e}", path.display()));
        }
    }
    if args.stats {
        eprintln!("{}", outcome.stats);
    }
    for reason in &coverage.reasons {
        eprintln!("taploop: {reason}");
    }
    if outcome.packets == 0 {
        let why = if coverage.reasons.is_empty() { "; the interfaces hold the whole window: nothing in it matches" } else { "" };
        return fail(3, &format!("no packet matches{why}"));
    }
    ExitCode::from(if coverage.complete { 0 } else { 4 })
}

fn told(path: &Path) -> impl Fn(io::Error) -> CutError + '_ {
    |source| CutError::File { path: path.to_path_buf(), source }
}

/// Replaces a file only by a whole cut; writes into anything else as it is.
fn to_file(data: &DataDir, selection: &Selection, format: Format, path: &Path) -> Result<Outcome, CutError> {
    let special = fs::metadata(path).is_ok_and(|m| !m.is_file());
    if special {
        let mut out = fs::OpenOptions::new().write(true).open(path).map_err(told(path))?;
        if out.is_terminal() {
            return Err(told(path)(io::Error::new(
                io::ErrorKind::Unsupported,
                "a capture is not written to a terminal: use a file or a pipe",
            )));
        }
        return cut(data, selection, format, &mut out);
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut out = File::create(&temporary).map_err(told(path))?;
    let result = cut(data, selection, format, &mut out).and_then(|outcome| {
        fs::rename(&temporary, path).map_err(told(path))?;
        Ok(outcome)
    });
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}
