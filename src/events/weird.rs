//! `weird`: something that should not be, or a limit of ours that was reached (Zeek's base/frameworks/notice/weird). A connection tells each
//! name once; how often it came is told at the end of the analysis.

use super::head::Head;
use serde::Serialize;

/// A row of `weird`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Weird {
    /// When it came first, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// What: `unplaced_read`, `limit_opens`, `bad_compression`, ...
    pub name: &'static str,
    /// Bytes concerned, the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addl: Option<String>,
    /// It did not become a notice: there are none here.
    pub notice: bool,
}
