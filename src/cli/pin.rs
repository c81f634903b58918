//! `taploop pin`.

use super::output::{Failure, counted, print_line, say, size};
use super::selection::SelectionArgs;
use super::target::print_json;
use crate::ring::pinning::{Wanted, pin};
use crate::select::{Duration, Size};

/// Bytes of a name, at most.
const NAME_MAX: usize = 1000;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Why: a case, an alert
    #[arg(long, value_name = "WHY", value_parser = name, help_heading = "Pin")]
    name: String,
    /// After so long it no longer counts [default: never]
    #[arg(long, value_name = "DURATION", value_parser = expires, help_heading = "Pin")]
    expires: Option<Duration>,
    /// Bytes that it may keep, index included [default: 10GiB, or a tenth of the disk where that is less]
    #[arg(long, value_name = "SIZE", help_heading = "Pin")]
    max_bytes: Option<Size>,
    /// JSON on standard output
    #[arg(long, help_heading = "Pin")]
    json: bool,
}

fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty: say why, like a case or an alert".into()),
        name if name.len() > NAME_MAX => Err(format!("it has {} bytes, {NAME_MAX} are allowed", name.len())),
        name => Ok(name.into()),
    }
}

fn expires(text: &str) -> Result<Duration, String> {
    let after: Duration = text.parse().map_err(|e| format!("{e}"))?;
    if after.0 == 0 { Err("it would have expired at once: give a longer time, like 30d".into()) } else { Ok(after) }
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let (data, selection) = args.selection.open()?;
    if selection.limit_packets.is_some() || selection.limit_bytes.is_some() {
        return Err(Failure::request(
            "a pin keeps whole segments, without --limit-packets or --limit-bytes: --max-bytes bounds it",
        ));
    }
    let wanted = Wanted {
        name: args.name.clone(),
        selection: selection.to_string(),
        interfaces: selection.interfaces.clone(),
        window: selection.window,
        expires_after: args.expires.map(|d| d.0),
        max_bytes: args.max_bytes.map(|s| s.0),
    };
    let made = pin(&data, &wanted).map_err(|e| Failure::of(&e, e.is_request()))?;
    if args.json {
        print_json(&made)?;
    }
    let (segments, bytes) = (made.in_ring.segments + made.kept.segments, made.in_ring.bytes + made.kept.bytes);
    let (id, most) = (&made.pin.id, size(made.pin.max_bytes));
    print_line(&format!("pin {id} covers {}, {} of at most {most}", counted(segments, "segment"), size(bytes)));
    if segments == 0 {
        say("nothing that is held lies in its window yet");
    }
    Ok(0)
}
