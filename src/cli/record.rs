//! `taploop record`.

use super::log;
use super::output::{FAILED, Failure, chain, grouped, print_line, rough, say, shown, size};
use crate::capture;
use crate::record::{Backend, InterfaceOptions, LinkState, Recorder, Running, State, leave_root, may_keep_data};
use crate::ring::data::{DataDir, Retention, space};
use crate::ring::snapshot::{ReadContext, RingReader};
use crate::select::{Duration, Size, check_filter};
use crate::time::{SECOND_NS, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How often it is looked whether to stop.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);
/// How often the state is told.
const TELL_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// Bytes of the smallest buffer and the largest.
const BUFFER: std::ops::RangeInclusive<u64> = 4 << 20..=8 << 30;
/// Bytes of a packet that are kept, at most.
const SNAPLEN_MAX: u32 = 262_144;
/// Threads for one interface, at most.
const FANOUT_MAX: u16 = 64;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder; made where there is none
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// An interface; one that is not there yet is waited for
    #[arg(short = 'i', long = "interface", value_name = "IFACE", required = true)]
    interfaces: Vec<String>,
    /// Bytes that a ring may take, index included, like 50GB, at least 1MiB; the oldest segments go first
    #[arg(long, value_name = "SIZE", value_parser = super::import::max_bytes, help_heading = "What is kept")]
    max_bytes: Option<Size>,
    /// Drop what arrived longer ago than this
    #[arg(long, value_name = "DURATION", help_heading = "What is kept")]
    max_age: Option<Duration>,
    /// What stays free on the disk, like 20GB or 10% [default: 10% where no other limit is given]
    #[arg(long, value_name = "SIZE|PERCENT", help_heading = "What is kept")]
    min_free: Option<Free>,
    /// Bytes of a segment; fewer are taken where the limits or the disk are small
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = super::import::segment_bytes, help_heading = "What is kept")]
    segment_bytes: Size,
    /// A segment grows no longer than this
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "What is kept")]
    segment_age: Duration,
    /// Bytes of a packet that are kept
    #[arg(long, value_name = "BYTES", default_value_t = SNAPLEN_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(SNAPLEN_MAX)), help_heading = "Capture")]
    snaplen: u32,
    /// Record only what this matches, in pcap-filter syntax
    #[arg(long, value_name = "PCAP-FILTER", help_heading = "Capture")]
    filter: Option<String>,
    /// Bytes of the kernel's buffer, for each interface and thread
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = buffer, help_heading = "Capture")]
    buffer: Size,
    /// The user to become once the sockets are open
    #[arg(long, value_name = "NAME", help_heading = "Capture")]
    user: Option<String>,
    /// Threads for each interface, which share its packets by flow
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(FANOUT_MAX)), help_heading = "Capture")]
    fanout: u16,
    /// How packets are taken from the kernel
    #[arg(long, value_enum, default_value = "auto", help_heading = "Capture")]
    capture: BackendName,
    /// The state as a line of JSON each second, on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum BackendName {
    /// Packet sockets where the interface suits them, else libpcap
    Auto,
    /// Linux packet sockets, memory-mapped
    PacketSocket,
    /// libpcap, which keeps the right to capture
    Libpcap,
}

/// What stays free.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Free {
    Bytes(u64),
    Percent(f64),
}

impl std::str::FromStr for Free {
    type Err = String;

    fn from_str(text: &str) -> Result<Free, String> {
        let Some(number) = text.strip_suffix('%') else {
            return text.parse().map(|s: Size| Free::Bytes(s.0)).map_err(|e| e.to_string());
        };
        let percent = number.parse().ok().filter(|p: &f64| (0.0..100.0).contains(p));
        percent.map(Free::Percent).ok_or_else(|| format!("{text:?} is no part of a disk: write 0% to 99%, like 10%"))
    }
}

fn buffer(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|e| format!("{e}"))?;
    if BUFFER.contains(&size.0) {
        return Ok(size);
    }
    Err(format!("a buffer has {} MiB to {} GiB", BUFFER.start() >> 20, BUFFER.end() >> 30))
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let mut names = args.interfaces.clone();
    names.sort();
    names.dedup();
    if names.len() < args.interfaces.len() {
        return Err(Failure::request("the same interface is given twice"));
    }
    if let Some(name) = names.iter().find(|n| n.is_empty()) {
        return Err(Failure::request(format!("{name:?} is no interface: `ip link` lists them")));
    }
    if let Some(filter) = &args.filter {
        // Also that no name in it asks a name server.
        check_filter(filter).map_err(|e| Failure::of(&e, true))?;
    }
    let mut recorders = Vec::new();
    for name in &args.interfaces {
        let recorder = Recorder::open(options(args, name)).map_err(|e| Failure::of(&e, is_request(&e)))?;
        recorders.push(recorder);
    }
    let keeps = recorders.iter().any(Recorder::needs_capture_right);
    if keeps && args.user.is_some() {
        say("the right to capture (CAP_NET_RAW) is kept: libpcap and --fanout need it for an interface that comes back");
    }
    let data = open_data(args)?;
    leave_root(args.user.as_deref(), keeps).map_err(|e| Failure::of(&e, true))?;
    // A thread, and so not before.
    log::write_apart();
    let retention = retention(args, &data);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let set = signal_hook::flag::register(signal, stop.clone());
        set.map_err(|e| Failure::failed(format!("signals cannot be waited for: {e}")))?;
    }
    let mut running = Vec::new();
    for recorder in recorders {
        let started = recorder.keeping(retention).start(&data, stop.clone());
        match started {
            Ok(r) => running.push(r),
            Err(e) => {
                stop.store(true, Ordering::Relaxed);
                for mut r in running {
                    let _ = r.finish(); // the first failure is told
                }
                return Err(Failure::of(&e, false));
            }
        }
    }
    tell(args, &data, &mut running, &stop);
    stop.store(true, Ordering::Relaxed);
    log::finish();
    let mut status = 0;
    for mut recorder in running {
        let name = recorder.interface().to_string();
        let ended = recorder.finish();
        let state = recorder.state();
        recorder.save(&data, &state);
        print_line(&summary(&name, &state));
        if let Err(e) = ended {
            say(&format!("interface {name}: {}", chain(&e)));
            status = FAILED;
        }
    }
    log::finish();
    Ok(status)
}

fn is_request(e: &capture::CaptureError) -> bool {
    matches!(e, capture::CaptureError::Filter(_) | capture::CaptureError::Buffer { .. })
}

/// A folder that is made for another user becomes that user's.
fn open_data(args: &Args) -> Result<DataDir, Failure> {
    let is_new = !args.data.exists();
    let data = DataDir::open_or_create(&args.data)?;
    if let Some(user) = args.user.as_ref().filter(|_| is_new) {
        may_keep_data(&args.data, user).map_err(|e| Failure::of(&e, true))?;
    }
    Ok(data)
}

fn options(args: &Args, name: &str) -> InterfaceOptions {
    InterfaceOptions {
        capture: capture::Options {
            interface: name.to_string(),
            snaplen: args.snaplen,
            buffer: args.buffer.0 as usize,
            filter: args.filter.clone(),
            fanout: None,
        },
        backend: match args.capture {
            BackendName::Auto => Backend::Auto,
            BackendName::PacketSocket => Backend::PacketSocket,
            BackendName::Libpcap => Backend::Libpcap,
        },
        streams: args.fanout,
        retention: Retention::default(),
        segment_bytes: args.segment_bytes.0,
        segment_age: std::time::Duration::from_nanos(args.segment_age.0),
    }
}

fn retention(args: &Args, data: &DataDir) -> Retention {
    let none = args.max_bytes.is_none() && args.max_age.is_none();
    let free = args.min_free.or(none.then_some(Free::Percent(10.0)));
    let min_free_bytes = free.and_then(|free| match free {
        Free::Bytes(n) => Some(n),
        Free::Percent(p) => space(data.path()).map(|all| (all as f64 * p / 100.0) as u64),
    });
    Retention {
        max_bytes: args.max_bytes.map(|s| s.0),
        max_age_seconds: args.max_age.map(|d| d.0.div_ceil(SECOND_NS)),
        min_free_bytes,
    }
}

/// Tells how it goes until it is to stop: a line an interface on a terminal, lines of JSON if asked for, and the state files.
fn tell(args: &Args, data: &DataDir, running: &mut [Running], stop: &AtomicBool) {
    let bars = (io::stderr().is_terminal() && !args.json).then(MultiProgress::new);
    let lines: Vec<ProgressBar> = running
        .iter()
        .map(|_| match &bars {
            Some(bars) => {
                let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                bars.add(ProgressBar::no_length().with_style(style))
            }
            None => ProgressBar::hidden(),
        })
        .collect();
    let names: Vec<String> = running.iter().map(|r| r.interface().to_string()).collect();
    if bars.is_none() {
        print_line(&format!(
            "recording {} into {}",
            names.iter().map(|n| shown(n)).collect::<Vec<_>>().join(", "),
            args.data.display()
        ));
    }
    let mut told: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) && !running.iter().all(Running::has_ended) {
        if told.is_none_or(|t| t.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            for (recorder, line) in running.iter_mut().zip(&lines) {
                let state = recorder.state();
                recorder.save(data, &state);
                if args.json
                    && let Ok(mut value) = serde_json::to_value(&state)
                {
                    value["interface"] = recorder.interface().into();
                    // A reader that goes away ends nothing: recording goes on.
                    let _ = writeln!(io::stdout().lock(), "{value}");
                } else if !line.is_hidden() {
                    line.set_message(status_line(data, recorder.interface(), &state));
                }
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    lines.iter().for_each(ProgressBar::finish_and_clear);
}

/// How a recorder stands, in a line.
pub(super) fn line(interface: &str, state: &State) -> String {
    let mut text = format!(
        "{}: {} packets/s, {}/s; {} packets",
        shown(interface),
        grouped(state.packets_per_second as u64),
        size(state.bytes_per_second as u64),
        grouped(state.packets)
    );
    match state.link {
        LinkState::Up => {}
        LinkState::Down => text.push_str("; it is down"),
        LinkState::Missing => text.push_str("; waiting for it to appear"),
    }
    text.push_str(&format!("; {} dropped", grouped(drops(state))));
    if let Some(trouble) = &state.trouble {
        text.push_str(&format!("; NOT RECORDED: {}", shown(trouble)));
    }
    text
}

fn status_line(data: &DataDir, interface: &str, state: &State) -> String {
    let mut text = line(interface, state);
    let held = RingReader::open(data, interface, &ReadContext::default()).and_then(|ring| {
        let held = ring.held()?;
        Ok((held.first, ring.forecast(&held, Timestamp::now())?))
    });
    if let Ok((first, forecast)) = held {
        if let Some(first) = first {
            text.push_str(&format!("; held since {first}"));
        }
        if let Some(keeps) = forecast.and_then(|f| f.keeps_seconds) {
            text.push_str(&format!("; keeps about {}", rough(keeps)));
        }
    }
    text
}

fn drops(state: &State) -> u64 {
    state.kernel_drops + state.interface_drops + state.unrecorded_packets
}

fn summary(interface: &str, state: &State) -> String {
    let mut text =
        format!("{}: {} packets recorded, {} dropped", shown(interface), grouped(state.packets), grouped(drops(state)));
    if state.truncated_packets > 0 {
        text.push_str(&format!(", {} cut to the snap length", grouped(state.truncated_packets)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_told_in_bytes_or_as_a_part() {
        assert_eq!("10%".parse(), Ok(Free::Percent(10.0)));
        assert_eq!("20GB".parse(), Ok(Free::Bytes(20_000_000_000)));
        for wrong in ["100%", "-1%", "x%", "%", "ten"] {
            assert!(wrong.parse::<Free>().is_err(), "{wrong}");
        }
    }
}
