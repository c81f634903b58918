//! The one type for what a person asks.

use super::expr::Expr;
use super::lexer::quote;
use super::text::{Parser, TextError, words};
use super::time_text::parse_absolute;
use crate::time::{Timestamp, Window};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;
use std::str::FromStr;

/// Which packets are asked for: a window, interfaces, and a predicate over a packet; and how many of them at most.
///
/// Prints as one line and parses back to the same value:
/// `interface "eth0" from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z where layer(ip 10.1.2.3) limit-packets 100`;
/// a selection of everything is `everything`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// When.
    pub window: Window,
    /// Whether a beginning was asked for; [`Timestamp::ZERO`] stands in `window` otherwise.
    pub from_given: bool,
    /// Whether an end was asked for; [`Timestamp::MAX`] stands in `window` otherwise.
    pub to_given: bool,
    /// The interfaces' names, sorted, each once; all interfaces where it is empty.
    pub interfaces: Vec<String>,
    /// Which packets.
    pub expr: Expr,
    /// At most so many packets.
    pub limit_packets: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

impl Selection {
    /// Every packet of every interface.
    pub fn everything() -> Self {
        Selection {
            window: Window::ALL,
            from_given: false,
            to_given: false,
            interfaces: Vec::new(),
            expr: Expr::All,
            limit_packets: None,
            limit_bytes: None,
        }
    }

    /// Whether packets of this interface are asked for.
    pub fn includes_interface(&self, name: &str) -> bool {
        self.interfaces.is_empty() || self.interfaces.binary_search_by(|i| i.as_str().cmp(name)).is_ok()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let mut part = |f: &mut fmt::Formatter<'_>, name: &str| {
            let r = write!(f, "{gap}{name} ");
            gap = " ";
            r
        };
        for name in &self.interfaces {
            part(f, "interface")?;
            quote(name, f)?;
        }
        if self.from_given {
            part(f, "from")?;
            write!(f, "{}", self.window.from)?;
        }
        if self.to_given {
            part(f, "to")?;
            write!(f, "{}", self.window.to)?;
        }
        if self.expr != Expr::All {
            part(f, "where")?;
            write!(f, "{}", self.expr)?;
        }
        if let Some(n) = self.limit_packets {
            part(f, "limit-packets")?;
            write!(f, "{n}")?;
        }
        if let Some(n) = self.limit_bytes {
            part(f, "limit-bytes")?;
            write!(f, "{n}")?;
        }
        if gap.is_empty() { f.write_str("everything") } else { Ok(()) }
    }
}

impl FromStr for Selection {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let tokens = words(text)?;
        let mut p = Parser::new(&tokens, text.len());
        let mut s = Selection::everything();
        if p.word("everything") {
            p.finish("the end")?;
            return Ok(s);
        }
        if p.finish("").is_ok() {
            return Err(
                p.expected("\"everything\", \"interface\", \"from\", \"to\", \"where\", \"limit-packets\" or \"limit-bytes\"")
            );
        }
        while p.word("interface") {
            s.interfaces.push(p.quoted("an interface's name in quotes")?);
        }
        s.interfaces.sort();
        s.interfaces.dedup();
        if p.word("from") {
            s.window.from = p.value::<Absolute>("a time")?.0;
            s.from_given = true;
        }
        if p.word("to") {
            let at = p.at();
            s.window.to = p.value::<Absolute>("a time")?.0;
            s.to_given = true;
            if s.window.to <= s.window.from {
                let reason = format!("the end {} is not after the beginning {}", s.window.to, s.window.from);
                return Err(TextError::Value { at, reason });
            }
        }
        if p.word("where") {
            s.expr = p.expr()?;
        }
        if p.word("limit-packets") {
            s.limit_packets = Some(p.value("a number of packets")?);
        }
        if p.word("limit-bytes") {
            s.limit_bytes = Some(p.value("a number of bytes")?);
        }
        p.finish("one of interface, from, to, where, limit-packets, limit-bytes in this order, \"and\", \"or\" or the end")?;
        Ok(s)
    }
}

/// A time that needs no present.
struct Absolute(Timestamp);

impl FromStr for Absolute {
    type Err = super::time_text::TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_absolute(text).map(Absolute)
    }
}

/// The text form and its parts, for people and for programs.
impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("Selection", 7)?;
        s.serialize_field("text", &self.to_string())?;
        s.serialize_field("interfaces", &self.interfaces)?;
        s.serialize_field("from", &self.from_given.then_some(self.window.from))?;
        s.serialize_field("to", &self.to_given.then_some(self.window.to))?;
        s.serialize_field("where", &self.expr.to_string())?;
        s.serialize_field("limit_packets", &self.limit_packets)?;
        s.serialize_field("limit_bytes", &self.limit_bytes)?;
        s.end()
    }
}
