//! `taploop events`.

use super::hash::HashArgs;
use super::output::{Failure, NOT_WHOLE, print_table, say};
use super::packets::{PacketsArgs, failure};
use crate::analyze::{Analysis, Options, Told};
use crate::events::event_types::EventType;
use crate::events::{Event, EventTypes};
use crate::objects::collector::ObjectOptions;
use crate::objects::limits::Limits;
use crate::time::Window;
use std::io::{self, BufWriter, Write};

/// Events that people get to see.
const EVENTS_TOLD: usize = 100_000;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    packets: PacketsArgs,
    /// Only these types, separated by commas: conn, smb_mapping, smb_files, files, ntlm, kerberos, dce_rpc, dns, dhcp, dir_list, pipe_stream, scheduled_task, service, server_copy, smb_sealed, weird
    #[arg(long = "type", value_name = "TYPES", value_parser = EventTypes::parse, help_heading = "Output")]
    types: Option<EventTypes>,
    #[command(flatten)]
    hash: HashArgs,
    /// JSON on standard output, one event a line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Show passwords in the arguments of calls
    #[arg(long, help_heading = "Secrets")]
    reveal_passwords: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let types = args.types.unwrap_or_default();
    if args.hash.is_any() && !types.contains(EventType::Files) {
        return Err(Failure::request("--hash is of the type files, which --type leaves out"));
    }
    let secrets = args.packets.secrets()?;
    let input = args.packets.open()?;
    let window = input.window();
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut count, mut broken, mut rows) = (0_u64, None, Vec::new());
    let mut take = |told: Told| {
        let Told::Event(event) = told else { return };
        if broken.is_some() || !window.is_none_or(|w| is_of(&w, &event)) {
            return;
        }
        count += 1;
        if args.json {
            broken = writeln!(out, "{}", event.to_json_line()).err();
        } else if rows.len() < EVENTS_TOLD {
            rows.push(row(&event));
        }
    };
    // Files are put together to be hashed, and kept nowhere.
    let scratch = types.contains(EventType::Files).then(|| tempfile::Builder::new().prefix("taploop-").tempdir()).transpose();
    let scratch = scratch.map_err(|e| Failure::failed(format!("a folder for contents cannot be made: {e}")))?;
    let objects = scratch.as_ref().map(|folder| ObjectOptions {
        folder: folder.path().to_path_buf(),
        limits: Limits::default(),
        hashes: args.hash.hashes(),
        provenance: false,
        keep_contents: false,
        window,
    });
    let reveal_passwords = args.reveal_passwords;
    let options = Options { objects, events: Some(types), secrets, reveal_passwords, ..Options::default() };
    let analysis = Analysis::new(options, &mut take).map_err(|e| failure(&e))?;
    let (totals, _) = input.read(analysis)?;
    let flushed = out.flush();
    drop(out);
    match broken.or(flushed.err()) {
        Some(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(NOT_WHOLE),
        Some(e) => return Err(Failure::failed(format!("standard output cannot be written: {e}"))),
        None => {}
    }
    if !args.json && !rows.is_empty() {
        rows.sort();
        print_table(&["time", "type", "client", "server", "what"], &rows, 0);
    }
    if count as usize > rows.len() && !args.json {
        say(&format!("{} more: --json lists them", count as usize - rows.len()));
    }
    Ok(input.verdict(&totals, count > 0, "no event of these types"))
}

/// Whether an event is of the window that was asked for: other packets are read only to know what its sessions are.
fn is_of(window: &Window, event: &Event) -> bool {
    window.contains(event.ts())
}

/// A line for people.
fn row(event: &Event) -> Vec<String> {
    let value = serde_json::to_value(event).unwrap_or_default();
    let text = |name: &str| match value.get(name) {
        Some(serde_json::Value::String(s)) => s.clone(),
        Some(v) if name == "account" => {
            let part = |key: &str| v.get(key).and_then(serde_json::Value::as_str);
            match (part("domain"), part("user"), part("how")) {
                (Some(domain), Some(user), _) => format!("{domain}\\{user}"),
                (None, Some(user), _) => user.to_string(),
                (_, None, how) => how.unwrap_or("-").to_string(),
            }
        }
        Some(v) => v.to_string(),
        None => String::from("-"),
    };
    let end = |ip: &str, port: &str| match (text(ip), text(port)) {
        (ip, port) if ip.contains(':') => format!("[{ip}]:{port}"),
        (ip, port) => format!("{ip}:{port}"),
    };
    let passed = ["_path", "ts", "ts_ns", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "community_id", "xml"];
    let fields = value.as_object().into_iter().flatten().filter(|(k, _)| !passed.contains(&k.as_str()));
    let said: Vec<String> = fields.map(|(k, _)| format!("{k}={}", text(k))).collect();
    vec![
        event.ts().to_string(),
        event.path().to_string(),
        end("id.orig_h", "id.orig_p"),
        end("id.resp_h", "id.resp_p"),
        said.join(" "),
    ]
}
