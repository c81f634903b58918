//! How soon a packet is in a cut: `cargo bench --bench fresh -- --taploop PROGRAM --data DIR --seconds 10 --out cut.pcap [SELECTION...]`.
//!
//! Cuts again and again while another process records: each cut begins at the `complete_to` of the one before. What
//! comes twice counts once. A packet's age is the time from its own timestamp to the end of the first cut that has it, the cut itself and the
//! wait for its turn included. Prints seven numbers: packets seen; median, 99th percentile and maximum of their ages in
//! milliseconds; cuts made; median milliseconds that one took; packets that came twice.

use std::collections::HashMap;
use std::io::{Error, Result};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use taploop::select::parse_time;
use taploop::time::Timestamp;

/// Between two cuts: the reader shares a core with the sender.
const PAUSE: Duration = Duration::from_millis(2);

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// The times of a classic pcap file in nanoseconds.
fn times(bytes: &[u8]) -> Result<Vec<u64>> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if word(0) != Some(0xa1b2_3c4d) {
        return Err(Error::other("a cut is no pcap file in nanoseconds"));
    }
    let mut all = Vec::new();
    let mut at = 24;
    while let (Some(s), Some(ns), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        all.push(u64::from(s) * 1_000_000_000 + u64::from(ns));
        at += 16 + length as usize;
    }
    Ok(all)
}

/// What is at `quantile` of sorted `values`, in milliseconds.
fn ms(values: &[u64], quantile: f64) -> f64 {
    let at = (values.len() as f64 * quantile).ceil().max(1.0) as usize - 1;
    values.get(at).map_or(0.0, |ns| *ns as f64 / 1e6)
}

fn main() -> Result<()> {
    let (mut taploop, mut data, mut out, mut seconds, mut selection) =
        (String::new(), String::new(), String::new(), 10.0, Vec::new());
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().unwrap_or_default();
        match name.as_str() {
            // cargo bench adds this one.
            "--bench" => {}
            "--taploop" => taploop = value(),
            "--data" => data = value(),
            "--out" => out = value(),
            "--seconds" => seconds = value().parse().map_err(|_| Error::other("--seconds: expected a number"))?,
            _ => selection.push(name),
        }
    }
    // Without a program there is nothing to do: `cargo bench` runs this along with all others.
    if taploop.is_empty() {
        return Ok(());
    }
    let coverage = format!("{out}.json");
    let (mut ages, mut took, mut from) = (Vec::new(), Vec::new(), None::<String>);
    // How many of which time were given from complete_to on, and will come again.
    let (mut ahead, mut again) = (HashMap::<u64, u64>::new(), 0_u64);
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        let mut cut = Command::new(&taploop);
        cut.args(["cut", "--format", "pcap", "--data", &data, "-w", &out, "--coverage", &coverage]).args(&selection);
        if let Some(from) = &from {
            cut.args(["--from", from]);
        }
        let status = cut.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        let end = now_ns();
        took.push(start.elapsed().as_nanos() as u64);
        // 3: nothing matched. 4: coverage is not complete, as of what was dropped.
        if !matches!(status.code(), Some(0 | 3 | 4)) {
            return Err(Error::other(format!("status {status} from {cut:?}")));
        }
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&coverage)?)?;
        let complete_to = told["interfaces"][0]["complete_to"].as_str();
        let complete_to = complete_to.ok_or_else(|| Error::other("a cut without complete_to: is its recorder running?"))?;
        let all = times(&std::fs::read(&out)?)?;
        for time in &all {
            match ahead.get_mut(time).filter(|n| **n > 0) {
                Some(n) => {
                    *n -= 1;
                    again += 1;
                }
                None => ages.push(end.saturating_sub(*time)),
            }
        }
        let to = parse_time(complete_to, Timestamp::now()).map_err(|e| Error::other(e.to_string()))?;
        ahead.clear();
        for time in all.into_iter().filter(|t| *t >= to.as_nanos()) {
            *ahead.entry(time).or_default() += 1;
        }
        from = Some(complete_to.to_string());
        std::thread::sleep(PAUSE);
    }
    ages.sort_unstable();
    took.sort_unstable();
    println!(
        "{} {:.1} {:.1} {:.1} {} {:.1} {again}",
        ages.len(),
        ms(&ages, 0.5),
        ms(&ages, 0.99),
        ms(&ages, 1.0),
        took.len(),
        ms(&took, 0.5)
    );
    Ok(())
}
