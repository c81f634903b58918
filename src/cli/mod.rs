//! The commands: one file a subcommand, no logic of their own.

mod cut;
mod flows;
mod import;
mod output;
mod ring_check;
mod rings;

use clap::{Parser, Subcommand};
use output::fail;
use std::process::ExitCode;

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
    /// List the rings: what each interface holds
    Rings(rings::Args),
    /// Write the packets of a selection as a capture file
    Cut(cut::Args),
    /// List the flows of a selection
    Flows(flows::Args),
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
        Err(e) => {
            let status = u8::try_from(e.exit_code()).unwrap_or(2);
            if status == 0 || matches!(e.kind(), clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
                let _ = e.print();
                return ExitCode::from(status);
            }
            // Errors take one line; the advice below clap's first line is what --help says.
            let text = e.to_string();
            let line: Vec<&str> = text
                .lines()
                .take_while(|l| !l.starts_with("Usage") && !l.starts_with("For more"))
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .collect();
            return fail(status, line.join(" ").trim_start_matches("error: "));
        }
    };
    let filter = cli.log.or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_else(|| "warn".into());
    match tracing_subscriber::EnvFilter::try_new(&filter) {
        Ok(filter) => tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init(),
        Err(e) => return fail(2, &format!("--log {filter}: {e}")),
    }
    match cli.command {
        Command::Import(args) => import::run(&args),
        Command::Rings(args) => rings::run(&args),
        Command::Cut(args) => cut::run(&args),
        Command::Flows(args) => flows::run(&args),
        Command::Ring(Ring::Check(args)) => ring_check::run(&args),
    }
}
