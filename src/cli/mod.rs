//! The commands: one file a subcommand, no logic of their own.

mod cut;
mod events;
mod flows;
mod hash;
mod import;
mod log;
mod objects;
mod output;
mod packets;
mod pin;
mod pins;
mod record;
mod ring_check;
mod rings;
mod selection;
mod target;
mod unpin;

use clap::{Parser, Subcommand};
use output::{Failure, say};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Keeps a loop of recent traffic for every interface and cuts from it, exactly and at once.
#[derive(Parser)]
#[command(name = "taploop", version, about, propagate_version = true)]
struct Cli {
    /// What to log to standard error, like info or taploop=debug [default: RUST_LOG, else warn]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Import capture files (pcap, pcapng, plain, gzip or zstd; - is standard input) into rings
    Import(import::Args),
    /// Record live interfaces into rings, until told to stop (SIGINT or SIGTERM)
    Record(record::Args),
    /// List the rings: what each interface holds
    Rings(rings::Args),
    /// Write the packets of a selection as a capture file
    Cut(cut::Args),
    /// List the flows of a selection
    Flows(flows::Args),
    /// List the files that moved over SMB, whole or honestly marked, and write them out
    Objects(objects::Args),
    /// List what happened, as Zeek names it: connections, logons, remote calls, files
    Events(events::Args),
    /// Keep a window from being dropped
    Pin(pin::Args),
    /// List the pins: what each keeps
    Pins(pins::Args),
    /// Remove pins, and what is kept that no other covers
    Unpin(unpin::Args),
    /// Look after rings
    #[command(subcommand)]
    Ring(Ring),
}

#[derive(Subcommand)]
enum Ring {
    /// Read every byte of the rings and say what is damaged
    Check(ring_check::Args),
}

/// Runs the command line and gives the exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            // A reader of the help that goes away has read enough.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return report(&Failure::request(one_line(&error))),
    };
    let done = start_log(cli.log.as_deref()).and_then(|()| match &cli.command {
        Command::Import(args) => import::run(args),
        Command::Record(args) => record::run(args),
        Command::Rings(args) => rings::run(args),
        Command::Cut(args) => cut::run(args),
        Command::Flows(args) => flows::run(args),
        Command::Objects(args) => objects::run(args),
        Command::Events(args) => events::run(args),
        Command::Pin(args) => pin::run(args),
        Command::Pins(args) => pins::run(args),
        Command::Unpin(args) => unpin::run(args),
        Command::Ring(Ring::Check(args)) => ring_check::run(args),
    });
    done.map_or_else(|failure| report(&failure), ExitCode::from)
}

fn report(failure: &Failure) -> ExitCode {
    say(&failure.text);
    ExitCode::from(failure.status)
}

/// What is wrong, without the usage that clap prints behind it.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing: taploop --help lists them".to_string();
    }
    let text = error.render().to_string();
    let wanted = text.lines().map(str::trim).take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"));
    let line = wanted.filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").map(str::to_string).unwrap_or(line)
}

fn start_log(asked: Option<&str>) -> Result<(), Failure> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|t| !t.is_empty());
    let (name, text) = match (asked, from_environment) {
        (Some(text), _) => ("--log", text.to_string()),
        (None, Some(text)) => ("RUST_LOG", text),
        (None, None) => ("--log", "warn".to_string()),
    };
    let filter = EnvFilter::builder()
        .parse(&text)
        .map_err(|e| Failure::request(format!("{name} {text:?} is no log filter, write like info or taploop=debug: {e}")))?;
    let is_terminal = io::stderr().is_terminal();
    let started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| log::Lines).with_ansi(is_terminal).try_init();
    started.map_err(|e| Failure::failed(format!("the log cannot be started: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_agree_with_clap() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_get_one_line() {
        for (args, wanted) in [
            (&["taploop", "cut"][..], "--data <DIR>"),
            (&["taploop", "cut", "--data", "d", "--from", "2018-06-21T10:42:00"], "has no zone"),
            (&["taploop", "import", "--data", "d", "--segment-bytes", "511", "f"], "at least 512"),
            (&["taploop", "import", "--data", "d", "--segment-bytes", "9GiB", "f"], "at most 8 GiB"),
            (&["taploop", "nonsense"], "nonsense"),
            (&["taploop"], "--help"),
        ] {
            let Err(error) = Cli::try_parse_from(args) else { panic!("{args:?} is accepted") };
            let line = one_line(&error);
            assert!(line.contains(wanted) && !line.contains('\n') && !line.contains("Usage"), "{line}");
        }
    }

    #[test]
    fn times_before_now_and_standard_input_are_taken() {
        assert!(Cli::try_parse_from(["taploop", "cut", "--data", "d", "--from", "-5m", "--to", "now", "-w", "-"]).is_ok());
        assert!(Cli::try_parse_from(["taploop", "import", "--data", "d", "--max-bytes", "20GB", "-"]).is_ok());
    }
}
