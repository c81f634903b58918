//! What `objects` and `events` read: capture files, or a selection of the rings.

use super::output::{Failure, NOT_WHOLE, chain, counted, grouped, say, size};
use super::selection::verdict;
use crate::analyze::packets_out::{Stretches, write_of_files, write_of_ring};
use crate::analyze::ring::{Plan, analyze_ring, plan};
use crate::analyze::{Analysis, AnalyzeError, Origins, Progress, Totals, analyze_files};
use crate::identity::secrets::Secrets;
use crate::pcap::reader::OpenError;
use crate::ring::data::DataDir;
use crate::select::Request;
use crate::time::{Timestamp, Window};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct PacketsArgs {
    /// Capture files (pcap, pcapng, plain, gzip or zstd; - is standard input), read as one capture in this order
    #[arg(value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    files: Vec<PathBuf>,
    /// The data folder, instead of files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Secrets that open what is encrypted: lines of Wireshark's smb2_seskey_list, password:DOM\user:..., nthash:DOM\user:..., keytab:PATH
    #[arg(long, value_name = "FILE", help_heading = "Secrets")]
    keys: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Selection (of --data)")]
    request: Request,
}

/// What is read.
pub(super) enum Input {
    Files(Vec<PathBuf>),
    Ring(DataDir, Box<Plan>),
}

impl PacketsArgs {
    /// Opens what is to be read.
    pub(super) fn open(&self) -> Result<Input, Failure> {
        self.open_as(false)
    }

    /// Opens what is to be read for objects: with the channels of their sessions.
    pub(super) fn open_for_objects(&self) -> Result<Input, Failure> {
        self.open_as(true)
    }

    fn open_as(&self, channels: bool) -> Result<Input, Failure> {
        let selection = self.request.resolve(Timestamp::now()).map_err(|e| Failure::of(&e, true))?;
        let Some(data) = &self.data else {
            let nothing = Request::default().resolve(Timestamp::now()).map_err(|e| Failure::of(&e, true))?;
            if selection.to_string() != nothing.to_string() {
                let text = "a selection needs --data: files are read whole (`taploop import` makes rings of them)";
                return Err(Failure::request(text));
            }
            return Ok(Input::Files(self.files.clone()));
        };
        let data = DataDir::open(data)?;
        let plan = plan(&data, &selection, channels).map_err(|e| failure(&e))?;
        Ok(Input::Ring(data, Box::new(plan)))
    }

    /// The secrets.
    pub(super) fn secrets(&self) -> Result<Secrets, Failure> {
        let Some(path) = &self.keys else { return Ok(Secrets::default()) };
        Secrets::read(path).map_err(|e| Failure::request(format!("{}: {}", path.display(), chain(&e))))
    }
}

impl Input {
    /// The window that was asked for.
    pub(super) fn window(&self) -> Option<Window> {
        match self {
            Input::Files(_) => None,
            Input::Ring(_, plan) => Some(plan.asked.window).filter(|_| plan.asked.from_given || plan.asked.to_given),
        }
    }

    /// What a ring's selection comes to.
    pub(super) fn plan(&self) -> Option<&Plan> {
        match self {
            Input::Files(_) => None,
            Input::Ring(_, plan) => Some(plan),
        }
    }

    /// Reads all packets into an analysis; gives what it all came to, and where they were.
    pub(super) fn read(&self, mut analysis: Analysis<'_>) -> Result<(Totals, Origins), Failure> {
        let bar = if io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let mut styled = false;
        let mut progress = |p: &Progress| {
            if bar.is_hidden() {
                return;
            }
            if !std::mem::replace(&mut styled, true) {
                bar.set_style(style(p.of.is_some()));
            }
            if let Some(of) = p.of {
                bar.set_length(of);
            }
            bar.set_position(p.done);
            bar.set_message(counted(p.packets, "packet"));
        };
        let read = match self {
            Input::Files(files) => analyze_files(files, &mut analysis, &mut progress),
            Input::Ring(data, plan) => analyze_ring(data, plan, &mut analysis, &mut progress),
        };
        bar.finish_and_clear();
        let origins = read.map_err(|e| failure(&e))?;
        Ok((analysis.end().map_err(|e| failure(&e))?, origins))
    }

    /// Writes the packets of stretches; says how many there are. `origins` are those that [`Input::read`] gave.
    pub(super) fn write_packets(&self, origins: &Origins, stretches: &Stretches, out: &mut dyn Write) -> Result<u64, Failure> {
        let written = match self {
            Input::Files(files) => write_of_files(files, stretches, out),
            Input::Ring(data, plan) => write_of_ring(data, plan, &origins.interfaces, stretches, out),
        };
        written.map_err(|e| failure(&e))
    }

    /// Says what speaks against a status of 0, and gives the status.
    pub(super) fn verdict(&self, totals: &Totals, is_any: bool, what: &str) -> u8 {
        totals.warnings.iter().for_each(|w| say(w));
        for (why, (messages, bytes)) in &totals.sealed {
            let what = match *why {
                "no_key" => "no_key: give the keys of their sessions with --keys",
                "wrong_key" => "wrong_key: what --keys gives does not fit",
                _ => {
                    "late_start: the messages that keys are derived from came before the capture; session keys open them, passwords do not"
                }
            };
            let text = counted(*messages, "encrypted SMB message");
            say(&format!("{text} ({}) could not be opened, {what} (events --type smb_sealed names the sessions)", size(*bytes)));
        }
        if !totals.odd.is_empty() {
            let each = totals.odd.iter().map(|(name, (times, bytes))| match bytes {
                0 => format!("{name} {}", grouped(*times)),
                bytes => format!("{name} {} ({})", grouped(*times), size(*bytes)),
            });
            let all: Vec<String> = each.collect();
            say(&format!("odd on the way: {} (events --type weird says where)", all.join(", ")));
        }
        let status = match self {
            Input::Files(_) if totals.packets == 0 => {
                say("there are no packets in what was read");
                super::output::NONE_MATCHED
            }
            Input::Files(_) => 0,
            Input::Ring(_, plan) => verdict(&plan.coverage, plan.is_any),
        };
        if !is_any && status == 0 {
            say(&format!("{} of {}: {what}", "nothing", counted(totals.packets, "packet")));
            return super::output::NONE_MATCHED;
        }
        if status == 0 && !totals.warnings.is_empty() { NOT_WHOLE } else { status }
    }
}

/// What ends the command.
pub(super) fn failure(e: &AnalyzeError) -> Failure {
    let is_request = match e {
        AnalyzeError::Open(OpenError::Io { source, .. }) => source.kind() == io::ErrorKind::NotFound,
        AnalyzeError::Open(_) => true,
        AnalyzeError::Cut(cut) => cut.is_request(),
        _ => false,
    };
    Failure::of(e, is_request)
}

fn style(has_size: bool) -> ProgressStyle {
    let template =
        if has_size { "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {wide_msg}" } else { "{bytes} {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
