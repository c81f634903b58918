//! `taploop objects`.

use super::hash::HashArgs;
use super::output::{Failure, NOT_WHOLE, chain, counted, print_line, print_table, say};
use super::packets::{Input, PacketsArgs, failure};
use super::target::{Target, is_same_file, lies_in};
use crate::analyze::packets_out::Stretches;
use crate::analyze::ring::{Plan, is_within};
use crate::analyze::{Analysis, Found, Options, Told};
use crate::objects::collector::ObjectOptions;
use crate::objects::error::StoreError;
use crate::objects::export::Export;
use crate::objects::limits::Limits;
use crate::objects::object::{Object, name};
use crate::objects::transfer::{Transfer, amount};
use crate::select::Size;
use crate::time::Window;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Objects that people get to see.
const OBJECTS_TOLD: usize = 100_000;

/// The command's arguments.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: PacketsArgs,
    /// Only files whose name or path this matches, * and ? standing for any characters, whatever their case; may be repeated: any of them
    #[arg(long, value_name = "GLOB", help_heading = "Objects")]
    name: Vec<String>,
    /// Only contents of this media type, like application/x-dosexec or text/*
    #[arg(long, value_name = "TYPE", help_heading = "Objects")]
    mime: Option<String>,
    /// Only files of which at least so much was seen, like 4KiB
    #[arg(long, value_name = "N", help_heading = "Objects")]
    min_size: Option<Size>,
    /// A folder to write the contents and a manifest.json into
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    export_dir: Option<PathBuf>,
    /// Where the packets that carried these objects go, with the set-up of their sessions, as pcapng
    #[arg(long, value_name = "OUT.pcapng", help_heading = "Output")]
    packets: Option<PathBuf>,
    #[command(flatten)]
    hash: HashArgs,
    /// Beside each content, which packet carried which bytes: NAME.packets.jsonl (with --export-dir)
    #[arg(long, requires = "export_dir", help_heading = "Output")]
    provenance: bool,
    /// JSON on standard output, one object a line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let secrets = args.input.secrets()?;
    let input = args.input.open_for_objects()?;
    // Before the work: a place that cannot be written is told at once.
    let mut target = args.packets.as_deref().map(|path| target_of(path, &input)).transpose()?;
    let window = input.window();
    let mut export = args.export_dir.as_deref().map(Export::new).transpose().map_err(|e| store_failure(&e))?;
    // Contents form inside the export's folder, on its file system.
    let scratch = match &args.export_dir {
        Some(folder) => tempfile::Builder::new().prefix(".taploop-").tempdir_in(folder),
        None => tempfile::Builder::new().prefix("taploop-").tempdir(),
    };
    let scratch = scratch.map_err(|e| Failure::failed(format!("a folder for contents cannot be made: {e}")))?;
    let options = Options {
        objects: Some(ObjectOptions {
            folder: scratch.path().to_path_buf(),
            limits: Limits::default(),
            hashes: args.hash.hashes(),
            provenance: args.provenance,
            keep_contents: export.is_some(),
            window,
        }),
        secrets,
        stretches: target.is_some() || input.plan().is_some_and(Plan::has_channels),
        ..Options::default()
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut count, mut partial, mut broken, mut failed, mut rows) = (0_u64, 0_u64, None, None, Vec::new());
    let mut stretches = Stretches::default();
    let mut take = |told: Told| {
        let Told::Object(found) = told else { return };
        if broken.is_some()
            || failed.is_some()
            || !args.wants(&found, window)
            || input.plan().is_some_and(|plan| !plan.is_asked(&found))
        {
            return;
        }
        count += 1;
        partial += u64::from(!found.transfer.complete);
        stretches.add(&found);
        let object = Object::new(&found.transfer, &found.who);
        if let Some(export) = &mut export
            && let Err(e) = export.add(&found.transfer, &object)
        {
            failed = Some(e);
        }
        if args.json {
            let line = serde_json::to_string(&object).map_err(io::Error::other);
            broken = line.and_then(|line| writeln!(out, "{line}")).err();
        } else if rows.len() < OBJECTS_TOLD {
            rows.push(row(&found));
        }
    };
    let analysis = Analysis::new(options, &mut take).map_err(|e| failure(&e))?;
    let (totals, origins) = input.read(analysis)?;
    let flushed = out.flush();
    drop(out);
    if let Some(e) = failed {
        return Err(store_failure(&e));
    }
    match broken.or(flushed.err()) {
        Some(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(NOT_WHOLE),
        Some(e) => return Err(Failure::failed(format!("standard output cannot be written: {e}"))),
        None => {}
    }
    if !args.json && !rows.is_empty() {
        rows.sort();
        let head = ["time", "account", "client", "server", "file", "action", "size", "wholeness", "type", "sha256"];
        print_table(&head, &rows, 0);
    }
    if let Some(export) = export.take() {
        let manifest = export.end(&origins.sources).map_err(|e| store_failure(&e))?;
        print_line(&format!("taploop: {count} objects, {partial} of them incomplete: {}", manifest.display()));
    }
    if let Some(mut target) = target.take() {
        let packets = input.write_packets(&origins, &stretches, target.writer())?;
        target.finish()?;
        say(&format!("{} of these objects written", counted(packets, "packet")));
    }
    if count as usize > rows.len() && !args.json {
        say(&format!("{} more: --json lists them", count as usize - rows.len()));
    }
    Ok(input.verdict(&totals, count > 0, "no object matches"))
}

/// The file for packets, which is none of those that are read.
fn target_of(path: &Path, input: &Input) -> Result<Target, Failure> {
    let is_read = match input {
        Input::Files(files) => files.iter().any(|file| is_same_file(file, path) || file == Path::new("-")),
        Input::Ring(data, _) => lies_in(path, data.path()),
    };
    if is_read {
        let text = "--packets reads what was read once more: give files, not standard input, and another file to write to";
        return Err(Failure::request(text));
    }
    Target::open(path)
}

fn store_failure(e: &StoreError) -> Failure {
    Failure::failed(chain(e))
}

impl Args {
    fn wants(&self, found: &Found, window: Option<Window>) -> bool {
        let t = &found.transfer;
        let path = t.file.name.clone().unwrap_or_default();
        let (name, path) = (name(t).to_lowercase(), path.to_lowercase());
        let is_named = self.name.is_empty()
            || self.name.iter().map(|g| g.to_lowercase()).any(|glob| matches(&glob, &name) || matches(&glob, &path));
        let is_of_type = self.mime.as_ref().is_none_or(|m| matches(&m.to_lowercase(), t.content.mime_type));
        let is_long = self.min_size.is_none_or(|n| t.seen_bytes >= n.0);
        // Other transfers were read only to know what those of the window are.
        is_named && is_of_type && is_long && window.is_none_or(|w| is_within(&w, t.ts, t.ts_end))
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any characters and `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                // The last star takes one more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// A line for people.
fn row(found: &Found) -> Vec<String> {
    let (t, who) = (&found.transfer, &found.who);
    let end = |side: &crate::objects::object::Side| match &side.host {
        Some(host) => format!("{host} ({})", side.ip),
        None => side.ip.to_string(),
    };
    let account = who.account.as_ref().map_or_else(
        || String::from("-"),
        |a| match (&a.domain, &a.user) {
            (Some(domain), Some(user)) => format!("{domain}\\{user}"),
            (None, Some(user)) => user.clone(),
            _ => a.how.clone(),
        },
    );
    vec![
        t.ts.to_string(),
        account,
        end(&who.client),
        end(&who.server),
        file(t, who.share.as_deref()),
        if t.action == crate::smb::event::Action::Read { "read" } else { "write" }.to_string(),
        t.size.map_or_else(|| format!("{} seen", amount(t.seen_bytes)), amount),
        t.wholeness(),
        t.content.mime_type.to_string(),
        t.content.sha256.clone().unwrap_or_else(|| t.content.content_id.clone()),
    ]
}

/// `\\host\share\path:stream`.
fn file(t: &Transfer, share: Option<&str>) -> String {
    let path = t.file.name.clone().unwrap_or_else(|| name(t));
    let stream = t.file.stream.as_ref().map(|s| format!(":{s}")).unwrap_or_default();
    format!("{}\\{path}{stream}", share.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_people_expect() {
        for (pattern, text, is_match) in [
            ("*.job", "av.job", true),
            ("*.job", "av.job.txt", false),
            ("a?.job", "av.job", true),
            ("a?.job", "a.job", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("windows\\*\\at?.job", "windows\\tasks\\at1.job", true),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }
}
