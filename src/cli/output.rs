//! What all commands say the same way: failures in one line with their exit statuses, lines and tables for people.

use crate::ring::data::DataError;
use std::error::Error;
use std::io::{self, Write};

/// Exit status: a failure.
pub(super) const FAILED: u8 = 1;
/// Exit status: the request is wrong.
pub(super) const WRONG_REQUEST: u8 = 2;
/// Exit status: no packet matched.
pub(super) const NONE_MATCHED: u8 = 3;
/// Exit status: something was done, but not everything is covered.
pub(super) const NOT_WHOLE: u8 = 4;

/// Why a command ends without its result.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u8,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn request(text: impl Into<String>) -> Failure {
        Failure { status: WRONG_REQUEST, text: text.into() }
    }

    pub(super) fn failed(text: impl Into<String>) -> Failure {
        Failure { status: FAILED, text: text.into() }
    }

    /// Of an error that knows whether the request is to blame.
    pub(super) fn of(error: &dyn Error, is_request: bool) -> Failure {
        Failure { status: if is_request { WRONG_REQUEST } else { FAILED }, text: chain(error) }
    }
}

/// A folder that is none of ours is a wrong request; one that cannot be read is a failure.
impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        let is_request = matches!(error, DataError::Missing(_) | DataError::NotData(_) | DataError::Version { .. });
        Failure::of(&error, is_request)
    }
}

/// An error and what it rests on, in one line. Causes that are already told are not told twice.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let cause = e.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = e.source();
    }
    text.replace('\n', " ")
}

/// Text that may come from the wire or from a file, so that it cannot move the cursor or pass for other text.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// One line for people that says who speaks.
pub(super) fn say(text: &str) {
    print_line(&format!("taploop: {}", shown(text)));
}

/// One line for people, as it is. Where nobody reads standard error, nothing is lost.
pub(super) fn print_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 file", "2,000 files".
pub(super) fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// Bytes with a unit that people read: "512 B", "1.5 MiB".
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A length of time as people say it: "40 s", "12 min", "3 h", "5 d".
pub(super) fn rough(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Characters of a cell of a table that are shown: beyond that it is read with --json.
const CELL_MAX: usize = 400;

/// A table for people, on standard error. The first columns are names, the last `numbers` numbers.
pub(super) fn print_table(head: &[&str], rows: &[Vec<String>], numbers: usize) {
    let mut lines = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| shown(&bounded(cell))).collect()));
    let width = |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
            let blanks = " ".repeat(width - cell.chars().count().min(width));
            if i + numbers >= head.len() { format!("{blanks}{cell}") } else { format!("{cell}{blanks}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The beginning of a text that is too long for a cell.
fn bounded(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(CELL_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_is_cut_and_no_panic() {
        print_table(&["a", "b"], &[vec!["x".repeat(100_000), "\u{1b}".repeat(100_000)]], 0);
        assert_eq!(bounded(&"é".repeat(500)), format!("{}...", "é".repeat(CELL_MAX)));
        assert_eq!(bounded("short"), "short");
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{202e} \"é\""), "a\\u{1b}[2J\\nb\\u{202e} \"é\"");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!((counted(1, "file"), counted(1000, "file")), ("1 file".into(), "1,000 files".into()));
        assert_eq!((size(1023), size(1536), size((1 << 20) - 1)), ("1023 B".into(), "1.5 KiB".into(), "1.0 MiB".into()));
        assert_eq!(size(u64::MAX), "16.0 EiB");
        assert_eq!((rough(119), rough(7199), rough(172_800)), ("119 s".into(), "119 min".into(), "2 d".into()));
    }
}
