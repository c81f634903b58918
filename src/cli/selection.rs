//! What the commands that select packets share: their arguments, and the verdict on an answer.

use super::output::{Failure, NONE_MATCHED, NOT_WHOLE, say};
use crate::cut::coverage::Coverage;
use crate::ring::data::DataDir;
use crate::select::{Request, Selection};
use crate::time::Timestamp;
use std::path::PathBuf;

/// Reasons that people get to see; the coverage document has all.
const REASONS_TOLD: usize = 20;
/// Interfaces whose extent people get to see where nothing matched.
const INTERFACES_TOLD: usize = 8;

#[derive(clap::Args)]
pub(super) struct SelectionArgs {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten, next_help_heading = "Selection")]
    request: Request,
}

impl SelectionArgs {
    /// The data folder and what is asked of it.
    pub(super) fn open(&self) -> Result<(DataDir, Selection), Failure> {
        let selection = self.request.resolve(Timestamp::now()).map_err(|e| Failure::of(&e, true))?;
        Ok((DataDir::open(&self.data)?, selection))
    }
}

/// The exit status; what speaks against 0 is told.
pub(super) fn verdict(coverage: &Coverage, is_any: bool) -> u8 {
    if !is_any {
        let why = if coverage.reasons.is_empty() { ": nothing that is held does" } else { "" };
        say(&format!("no packet matches {}{why}", coverage.selection));
        for interface in coverage.interfaces.iter().take(INTERFACES_TOLD) {
            if let Some((first, last)) = interface.first_packet.zip(interface.last_packet) {
                say(&format!("{} holds {first} to {last}", interface.interface));
            }
        }
        let more = coverage.interfaces.len().saturating_sub(INTERFACES_TOLD);
        if more > 0 {
            say(&format!("{more} more interfaces: `taploop rings` tells what they hold"));
        }
    }
    for reason in coverage.reasons.iter().take(REASONS_TOLD) {
        say(&reason.to_string());
    }
    let more = coverage.reasons.len().saturating_sub(REASONS_TOLD);
    if more > 0 {
        say(&format!("{more} more reasons: `taploop cut --coverage FILE` lists them"));
    }
    match (is_any, coverage.complete) {
        (false, _) => NONE_MATCHED,
        (true, false) => NOT_WHOLE,
        (true, true) => 0,
    }
}
