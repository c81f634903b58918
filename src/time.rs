//! Time as every module means it: nanoseconds since 1970-01-01T00:00:00Z, and half-open windows of it.

use std::fmt;

/// A moment, in nanoseconds since 1970, UTC. Covers 1970 to 2554.
///
/// `Timestamp::ZERO` doubles as "without a time" (pcapng simple packet blocks).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(u64);

/// Nanoseconds in one second.
pub const SECOND_NS: u64 = 1_000_000_000;

impl Timestamp {
    /// 1970-01-01, and the time of packets that have none.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The open end of an unbounded window. No packet has this time: the highest that one can have is [`Timestamp::LAST`].
    pub const MAX: Timestamp = Timestamp(u64::MAX);
    /// The highest time a packet can have; later ones are clamped to it.
    pub const LAST: Timestamp = Timestamp(u64::MAX - 1);

    /// From nanoseconds since 1970.
    pub const fn from_nanos(ns: u64) -> Self {
        Timestamp(ns)
    }

    /// Nanoseconds since 1970.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The wall clock's time.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1))
    }

    /// This time `ns` nanoseconds later, at most [`Timestamp::MAX`].
    pub const fn saturating_add(self, ns: u64) -> Self {
        Timestamp(self.0.saturating_add(ns))
    }

    /// This time `ns` nanoseconds earlier, at least [`Timestamp::ZERO`].
    pub const fn saturating_sub(self, ns: u64) -> Self {
        Timestamp(self.0.saturating_sub(ns))
    }

    /// Nanoseconds from `earlier` to this time, 0 where `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC, with nine digits of fraction, or none where they are all zero: `2018-06-21T10:42:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0 / (86_400 * SECOND_NS), self.0 % (86_400 * SECOND_NS));
        // Civil date from days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (secs, frac) = (in_day / SECOND_NS, in_day % SECOND_NS);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)?;
        if frac != 0 {
            write!(f, ".{frac:09}")?;
        }
        f.write_str("Z")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// From what [`Timestamp`] prints, or RFC 3339 with any zone.
impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        let ns = u64::try_from(time.as_nanosecond());
        ns.map(Timestamp).map_err(|_| serde::de::Error::custom(format!("{text} lies outside of 1970 to 2554")))
    }
}

/// A half-open stretch of time, `[from, to)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Window {
    /// The first moment inside.
    pub from: Timestamp,
    /// The first moment outside; [`Timestamp::MAX`] where there is no end.
    pub to: Timestamp,
}

impl Window {
    /// All of time.
    pub const ALL: Window = Window { from: Timestamp::ZERO, to: Timestamp::MAX };

    /// Whether `t` lies inside.
    pub const fn contains(&self, t: Timestamp) -> bool {
        self.from.0 <= t.0 && t.0 < self.to.0
    }

    /// Whether any moment of the closed stretch `[low, high]` lies inside.
    pub const fn touches(&self, low: Timestamp, high: Timestamp) -> bool {
        low.0 < self.to.0 && self.from.0 <= high.0
    }

    /// Whether all of the closed stretch `[low, high]` lies inside.
    pub const fn covers(&self, low: Timestamp, high: Timestamp) -> bool {
        self.from.0 <= low.0 && high.0 < self.to.0
    }

    /// What both windows share; `None` where that is nothing.
    pub fn intersect(&self, other: &Window) -> Option<Window> {
        let w = Window { from: self.from.max(other.from), to: self.to.min(other.to) };
        (w.from < w.to).then_some(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_529_577_720_000_000_000, "2018-06-21T10:42:00Z"),
            (1_529_577_720_000_000_001, "2018-06-21T10:42:00.000000001Z"),
            (951_782_400 * SECOND_NS, "2000-02-29T00:00:00Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            let time = Timestamp::from_nanos(ns);
            assert_eq!(time.to_string(), text);
            assert_eq!(serde_json::from_str::<Timestamp>(&format!("\"{text}\"")).unwrap(), time);
        }
    }

    #[test]
    fn windows_are_half_open() {
        let t = Timestamp::from_nanos;
        let w = Window { from: t(10), to: t(20) };
        assert!(w.contains(t(10)) && w.contains(t(19)) && !w.contains(t(20)) && !w.contains(t(9)));
        assert!(w.touches(t(0), t(10)) && !w.touches(t(0), t(9)) && !w.touches(t(20), t(30)));
        assert!(w.covers(t(10), t(19)) && !w.covers(t(10), t(20)));
        assert_eq!(w.intersect(&Window { from: t(20), to: t(30) }), None);
    }
}
