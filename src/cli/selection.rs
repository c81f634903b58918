//! What the commands that select packets share: their arguments, and the verdict on an answer.

use super::output::{Failure, NONE_MATCHED, NOT_WHOLE, say};
use crate::cut::coverage::{Coverage, Reason, ReasonKind};
use crate::ring::data::DataDir;
use crate::select::{Request, Selection};
use crate::time::Timestamp;
use std::path::PathBuf;

/// Reasons that people get to see; the coverage document has all.
const REASONS_TOLD: usize = 20;
/// Interfaces that are named where more have the same reason.
const NAMES_TOLD: usize = 3;
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
        let limited = coverage.reasons.iter().any(|r| r.reason == ReasonKind::LimitReached);
        if limited {
            say("packets match, but the first is larger than --limit-bytes allows: give a larger one");
        }
        let why = if coverage.reasons.is_empty() { ": nothing that is held does" } else { "" };
        if !limited {
            say(&format!("no packet matches {}{why}", coverage.selection));
        }
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
    let lines = told(&coverage.reasons);
    lines.iter().take(REASONS_TOLD).for_each(|line| say(line));
    let more = lines.len().saturating_sub(REASONS_TOLD);
    if more > 0 {
        say(&format!("{more} more reasons: `taploop cut --coverage FILE` lists them"));
    }
    match (is_any, coverage.complete) {
        (false, _) => NONE_MATCHED,
        (true, false) => NOT_WHOLE,
        (true, true) => 0,
    }
}

/// The reasons for people: what many interfaces have in common is one line, without the times of each.
fn told(reasons: &[Reason]) -> Vec<String> {
    let same = |a: &Reason, b: &Reason| a.reason == b.reason && a.detail == b.detail && a.bytes.is_none() && b.bytes.is_none();
    let mut lines = Vec::new();
    for (i, reason) in reasons.iter().enumerate() {
        let mut group: Vec<&str> = reasons.iter().filter(|r| same(r, reason)).map(|r| r.interface.as_str()).collect();
        group.dedup();
        if group.len() <= NAMES_TOLD {
            lines.push(reason.to_string());
        } else if !reasons[..i].iter().any(|r| same(r, reason)) {
            let more = group.len() - NAMES_TOLD;
            let names = group[..NAMES_TOLD].join(", ");
            lines.push(format!("{} on {names} and {more} more: {}", reason.reason, reason.detail));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_interfaces_have_in_common_is_one_line() {
        let reason = |reason, interface: &str, detail: &str| Reason {
            reason,
            interface: interface.into(),
            from: Some(Timestamp::ZERO),
            to: None,
            bytes: None,
            detail: detail.into(),
        };
        let mut reasons: Vec<Reason> =
            ["a", "b", "c", "d", "e"].iter().map(|i| reason(ReasonKind::BeforeRing, i, "too early")).collect();
        reasons.insert(1, reason(ReasonKind::AfterRing, "a", "too late"));
        let lines = told(&reasons);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "before_ring on a, b, c and 2 more: too early");
        assert!(lines[1].starts_with("after_ring on a from "), "{lines:?}");
    }
}
