//! `taploop import`.

use super::output::{chain, fail};
use crate::import::{ImportError, Imported, Options, import};
use crate::ring::data::{DataDir, Retention};
use crate::select::{Duration, Size};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder; made where there is none
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One interface for all packets [default: the files' own interface names, else the file's name]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Bytes that a ring may take, index included, like 50GB; the oldest segments go first [default: no limit]
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<Size>,
    /// Drop what was imported longer ago than this [default: no limit]
    #[arg(long, value_name = "DURATION")]
    max_age: Option<Duration>,
    /// Bytes that stay free on the disk [default: no limit]
    #[arg(long, value_name = "SIZE")]
    min_free: Option<Size>,
    /// Bytes of a segment
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    segment_bytes: Size,
    /// Capture files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    if args.segment_bytes.0 < 512 {
        return fail(2, "--segment-bytes must be at least 512");
    }
    let data = match DataDir::open_or_create(&args.data) {
        Ok(data) => data,
        Err(e) => return fail(2, &chain(&e)),
    };
    let options = Options {
        interface: args.interface.clone(),
        retention: Retention {
            max_bytes: args.max_bytes.map(|s| s.0),
            max_age_seconds: args.max_age.map(|d| d.0 / crate::time::SECOND_NS),
            min_free_bytes: args.min_free.map(|s| s.0),
        },
        segment_bytes: args.segment_bytes.0,
    };
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let result = import(
        &data,
        &args.files,
        &options,
        &mut |p| {
            if let Some(size) = p.size {
                bar.set_length(size);
            }
            bar.set_position(p.position);
            bar.set_message(p.file.escape_debug().to_string());
        },
        &mut |warning| bar.suspend(|| eprintln!("taploop: {}", warning.escape_debug())),
    );
    bar.finish_and_clear();
    match result {
        Err(e) => fail(if e.is_request() { 2 } else { 1 }, &chain(&e)),
        Ok(done) => {
            let plural = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
            let names: Vec<String> = done.interfaces.iter().take(8).map(|n| n.escape_debug().to_string()).collect();
            for e in &done.refused {
                fail(2, &chain(e));
            }
            if done.files == 0 && !done.refused.is_empty() {
                return status(&done);
            }
            let more = if done.interfaces.len() > names.len() { ", ..." } else { "" };
            eprintln!(
                "{} from {} into {}{}{}{}",
                plural(done.packets, "packet"),
                plural(done.files, "file"),
                plural(done.interfaces.len() as u64, "interface"),
                if names.is_empty() { String::new() } else { format!(" ({}{more})", names.join(", ")) },
                if done.clamped_times > 0 { format!("; {} clamped", plural(done.clamped_times, "time")) } else { String::new() },
                if done.damaged_files > 0 { format!("; {} damaged", plural(done.damaged_files, "file")) } else { String::new() },
            );
            status(&done)
        }
    }
}

fn status(done: &Imported) -> ExitCode {
    ExitCode::from(if !done.refused.iter().all(ImportError::is_request) {
        1
    } else if !done.refused.is_empty() {
        2
    } else if done.damaged_files > 0 {
        4
    } else {
        0
    })
}
