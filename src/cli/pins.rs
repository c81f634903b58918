//! `taploop pins`.

use super::output::{FAILED, Failure, counted, print_line, print_table, say, size};
use super::target::print_json;
use crate::ring::data::DataDir;
use crate::ring::pinning::{Covering, list};
use crate::time::Timestamp;
use std::path::PathBuf;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let data = DataDir::open(&args.data)?;
    let listed = list(&data).map_err(|e| Failure::of(&e, e.is_request()))?;
    if args.json {
        print_json(&listed.pins)?;
    } else if listed.pins.is_empty() && listed.problems.is_empty() {
        print_line("there are no pins");
    } else if !listed.pins.is_empty() {
        print_pins(&listed.pins);
    }
    for c in listed.pins.iter().filter(|c| c.not_kept.segments > 0) {
        let (missed, why) = (counted(c.not_kept.segments, "segment"), &c.not_kept.why);
        say(&format!("of what pin {} covers, {missed} ({}) were dropped: {why}", c.pin.id, size(c.not_kept.bytes)));
    }
    listed.problems.iter().for_each(|problem| say(problem));
    Ok(if listed.problems.is_empty() { 0 } else { FAILED })
}

fn print_pins(pins: &[Covering]) {
    let head = ["id", "name", "interfaces", "from", "to", "made", "expires", "in ring", "kept", "at most", "not kept"];
    let time = |t: Option<Timestamp>| t.map_or_else(|| "-".to_string(), |t| t.to_string());
    let rows = pins.iter().map(|c| {
        let pin = &c.pin;
        let interfaces = if pin.interfaces.is_empty() { "all".to_string() } else { pin.interfaces.join(", ") };
        let expires = if c.expired { format!("expired {}", time(pin.expires)) } else { time(pin.expires) };
        let mut row = vec![pin.id.clone(), pin.name.clone(), interfaces, time(pin.from), time(pin.to)];
        row.extend([pin.made.to_string(), expires]);
        row.extend([c.in_ring.bytes, c.kept.bytes, pin.max_bytes, c.not_kept.bytes].map(size));
        row
    });
    print_table(&head, &rows.collect::<Vec<_>>(), 4);
}
