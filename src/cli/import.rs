//! `taploop import`.

use super::output::{FAILED, Failure, NOT_WHOLE, WRONG_REQUEST, chain, counted, print_line, say, shown};
use crate::import::{ImportError, Imported, Options, Progress, check_inputs, import};
use crate::ring::data::{DataDir, Retention};
use crate::ring::dropped::{Dropped, Reason};
use crate::ring::retention::MAX_BYTES_MIN;
use crate::ring::writer::SEGMENT_BYTES_MAX;
use crate::select::{Duration, Size};
use crate::time::SECOND_NS;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::path::PathBuf;

/// The smallest segment, in bytes.
const SEGMENT_BYTES_MIN: u64 = 512;
/// Interfaces that the closing line names.
const NAMES_TOLD: usize = 8;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder; made where there is none
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One interface for all packets [default: the files' own interface names; nameless ones are called after the file, x.pcapng's x, or
    /// x:0, x:1 where it has several interfaces]
    #[arg(long, value_parser = interface, value_name = "NAME")]
    interface: Option<String>,
    /// Bytes that a ring may take, index included, like 50GB, at least 1MiB; the oldest segments go first [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = max_bytes)]
    max_bytes: Option<Size>,
    /// Drop what was imported longer ago than this [default: no limit]
    #[arg(long, value_name = "DURATION")]
    max_age: Option<Duration>,
    /// Bytes that stay free on the disk [default: no limit]
    #[arg(long, value_name = "SIZE")]
    min_free: Option<Size>,
    /// Bytes of a segment, at least 512; fewer are taken where the limits or the disk are small
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = segment_bytes)]
    segment_bytes: Size,
    /// Capture files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn interface(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty: give a name, or leave --interface out".into()) } else { Ok(text.into()) }
}

pub(super) fn segment_bytes(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|e| format!("{e}"))?;
    if size.0 < SEGMENT_BYTES_MIN {
        return Err(format!("a segment has at least {SEGMENT_BYTES_MIN} bytes"));
    }
    if size.0 > SEGMENT_BYTES_MAX {
        return Err(format!("a segment has at most {} GiB", SEGMENT_BYTES_MAX >> 30));
    }
    Ok(size)
}

pub(super) fn max_bytes(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|e| format!("{e}"))?;
    if size.0 < MAX_BYTES_MIN {
        return Err(format!("a ring needs at least {} MiB for its segments and their index", MAX_BYTES_MIN >> 20));
    }
    Ok(size)
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let options = Options {
        interface: args.interface.clone(),
        retention: Retention {
            max_bytes: args.max_bytes.map(|s| s.0),
            max_age_seconds: args.max_age.map(|d| d.0.div_ceil(SECOND_NS)),
            min_free_bytes: args.min_free.map(|s| s.0),
        },
        segment_bytes: args.segment_bytes.0,
    };
    // A mistyped file leaves no data folder behind.
    if let Err(refused) = check_inputs(&args.files) {
        return Ok(told(&refused));
    }
    let data = DataDir::open_or_create(&args.data)?;
    let bar = if io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    let mut current = String::new();
    let mut progress = |p: &Progress| {
        if bar.is_hidden() {
            return;
        }
        if current != p.file {
            current.clone_from(&p.file);
            bar.reset();
            bar.set_style(style(p.size.is_some()));
        }
        match p.size {
            Some(size) => bar.set_length(size),
            None => bar.unset_length(),
        }
        bar.set_position(p.position);
        bar.set_message(format!("{}, {}", shown(&p.file), counted(p.packets, "packet")));
    };
    let mut warn = |text: String| bar.suspend(|| say(&text));
    let imported = import(&data, &args.files, &options, &mut progress, &mut warn);
    bar.finish_and_clear();
    let imported = imported.map_err(|e| Failure::of(&e, e.is_request()))?;
    if imported.files > 0 || imported.refused.is_empty() {
        print_line(&summary(&imported));
    }
    Ok(match told(&imported.refused) {
        0 if imported.damaged_files > 0 || imported.dropped.own_packets > 0 => NOT_WHOLE,
        status => status,
    })
}

/// Says which files could not be read, and gives the exit status.
fn told(refused: &[ImportError]) -> u8 {
    refused.iter().for_each(|e| say(&chain(e)));
    match refused {
        [] => 0,
        _ if refused.iter().all(ImportError::is_request) => WRONG_REQUEST,
        _ => FAILED,
    }
}

fn style(has_size: bool) -> ProgressStyle {
    let template =
        if has_size { "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {wide_msg}" } else { "{bytes} {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn summary(done: &Imported) -> String {
    let interfaces = done.interfaces.len();
    let names: Vec<String> = done.interfaces.iter().take(NAMES_TOLD).map(|n| shown(n)).collect();
    let more = if interfaces > names.len() { ", ..." } else { "" };
    let mut text = format!(
        "{} from {} into {}",
        counted(done.packets, "packet"),
        counted(done.files, "file"),
        counted(interfaces as u64, "interface"),
    );
    if !names.is_empty() {
        text.push_str(&format!(" ({}{more})", names.join(", ")));
    }
    if done.clamped_times > 0 {
        text.push_str(&format!("; {} out of range, clamped", counted(done.clamped_times, "time")));
    }
    if done.damaged_files > 0 {
        text.push_str(&format!(
            "; {}, of which what came before the damage is kept",
            counted(done.damaged_files, "damaged file")
        ));
    }
    text.push_str(&dropped(&done.dropped));
    if !done.refused.is_empty() {
        text.push_str(&format!("; {} could not be read", counted(done.refused.len() as u64, "file")));
    }
    text
}

/// What was dropped to make room, and why.
fn dropped(dropped: &Dropped) -> String {
    let why = |reason: &Reason| match reason {
        Reason::MaxBytes => "to keep --max-bytes",
        Reason::MaxAge => "to keep --max-age",
        Reason::MinFree => "to keep --min-free",
        Reason::DiskFull => "because the disk is full",
    };
    let reasons: Vec<&str> = dropped.reasons.iter().map(why).collect();
    let tell = |packets: u64, of: &str| match packets {
        0 => String::new(),
        n => format!("; {} of {of} were dropped {}", counted(n, "packet"), reasons.join(" and ")),
    };
    tell(dropped.older_packets, "older segments") + &tell(dropped.own_packets, "this very import")
}
