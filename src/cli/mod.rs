//! The commands: one file a subcommand, no logic of their own.

use std::process::ExitCode;

/// Runs the command line and gives the exit status.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
