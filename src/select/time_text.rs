//! Times and durations as people write them. Numbers are read digit by digit, so that nothing is rounded but what lies
//! below a nanosecond. A time between two nanoseconds is taken for the later: packets have whole nanoseconds, and those before that are
//! before the time, those from it on are not. Of a duration what is below a nanosecond is cut off.

use crate::time::{SECOND_NS, Timestamp};
use std::str::FromStr;

/// Why a text is no time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimeError {
    /// A date and time of day, but no zone.
    #[error("{text} has no zone: write {suggestion}Z for UTC, or {suggestion}+02:00 for two hours east of it")]
    NoZone {
        /// What was written.
        text: String,
        /// The same in RFC 3339, up to the zone.
        suggestion: String,
    },
    /// Before 1970, or after 2554.
    #[error("{0} lies outside of 1970-01-01T00:00:00Z to 2554-07-21T23:34:33Z: write a time inside")]
    Range(String),
    /// A time before now, with a duration that is none.
    #[error("{text:?} is no time before now: {source}")]
    Before {
        /// What was written.
        text: String,
        /// What is wrong with the duration.
        source: DurationError,
    },
    /// None of the forms.
    #[error(
        "{0:?} is no time: write RFC 3339 with a zone (2018-06-21T10:42:00Z), epoch seconds (1529577720.5), now, or -5m (before now)"
    )]
    Form(String),
}

/// Why a text is no duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DurationError {
    /// A number without a unit behind it.
    #[error("{0:?} has no unit: write {0}s for seconds, {0}m for minutes, {0}h or {0}d")]
    NoUnit(String),
    /// Longer than 584 years.
    #[error("{0:?} is too long: write at most 213503d")]
    TooLong(String),
    /// Not numbers with units.
    #[error("{0:?} is no duration: write numbers with ns, us, ms, s, m, h, d or w, like 90s, 5m, 1h30m, 7d")]
    Form(String),
}

/// A time as it was written: itself, or so long before now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// A time of its own.
    At(Timestamp),
    /// So many nanoseconds before now.
    BeforeNow(u64),
}

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Duration(pub u64);

impl Moment {
    /// The time itself.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::At(t) => t,
            Moment::BeforeNow(ns) => now.saturating_sub(ns),
        }
    }
}

impl FromStr for Moment {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text == "now" {
            return Ok(Moment::BeforeNow(0));
        }
        match text.strip_prefix('-') {
            Some(before) => parse_duration(before)
                .map(Moment::BeforeNow)
                .map_err(|source| TimeError::Before { text: text.to_owned(), source }),
            None => parse_absolute(text).map(Moment::At),
        }
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse_duration(text).map(Duration)
    }
}

/// A time: RFC 3339 with a zone, epoch seconds with any fraction, `now`, or `-5m` (before now). One that lies between two
/// nanoseconds is the later.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    text.parse::<Moment>().map(|m| m.resolve(now))
}

/// A time that does not depend on the present: RFC 3339 with a zone, or epoch seconds.
pub(super) fn parse_absolute(text: &str) -> Result<Timestamp, TimeError> {
    let range = || TimeError::Range(text.to_owned());
    if let Some((whole, fraction)) = decimal(text) {
        let ns = scaled(whole, fraction, SECOND_NS).map(|ns| ns + u128::from(is_finer(fraction)));
        return ns.and_then(|ns| u64::try_from(ns).ok()).map(Timestamp::from_nanos).ok_or_else(range);
    }
    let (exact, is_between) = without_finer_digits(text);
    if let Ok(time) = exact.parse::<jiff::Timestamp>() {
        let ns = time.as_nanosecond() + i128::from(is_between);
        return u64::try_from(ns).map(Timestamp::from_nanos).map_err(|_| range());
    }
    match exact.parse::<jiff::civil::DateTime>() {
        Ok(civil) => Err(TimeError::NoZone { text: text.to_owned(), suggestion: civil.to_string() }),
        Err(_) => Err(TimeError::Form(text.to_owned())),
    }
}

/// A duration in nanoseconds: `90s`, `5m`, `1h30m`, `1.5h`, `7d`; a day has 24 hours, a week 7 days.
pub fn parse_duration(text: &str) -> Result<u64, DurationError> {
    let form = || DurationError::Form(text.to_owned());
    if decimal(text).is_some() {
        return Err(DurationError::NoUnit(text.to_owned()));
    }
    let mut rest = text;
    let mut total = 0u128;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let (whole, fraction) = decimal(number).ok_or_else(form)?;
        let ns = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND_NS,
            "m" | "min" => 60 * SECOND_NS,
            "h" => 3600 * SECOND_NS,
            "d" => 86_400 * SECOND_NS,
            "w" => 7 * 86_400 * SECOND_NS,
            _ => return Err(form()),
        };
        let part = scaled(whole, fraction, ns).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        total = total.saturating_add(part);
        rest = behind;
    }
    if text.is_empty() {
        return Err(form());
    }
    u64::try_from(total).map_err(|_| DurationError::TooLong(text.to_owned()))
}

/// The digits before and behind the point; `None` where `text` is no such number.
pub(super) fn decimal(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    (!whole.is_empty() && digits(whole) && digits(fraction)).then_some((whole, fraction))
}

/// `whole.fraction` times `unit`, with what is below one cut off; `None` from 2^64 wholes on. Exact for units that divide
/// 10^18; for others, digits behind the eighteenth are not looked at.
pub(super) fn scaled(whole: &str, fraction: &str, unit: u64) -> Option<u128> {
    let whole: u128 = whole.parse().ok().filter(|&w| w < 1 << 64)?;
    let (mut part, mut power) = (0u128, 1u128);
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        power *= 10;
    }
    Some(whole * u128::from(unit) + part * u128::from(unit) / power)
}

/// Whether a second's fraction lies between two nanoseconds.
fn is_finer(fraction: &str) -> bool {
    fraction.bytes().skip(9).any(|digit| digit != b'0')
}

/// The text with at most nine digits behind the seconds' point, and whether those that are left out say anything.
fn without_finer_digits(text: &str) -> (String, bool) {
    let Some(point) = text.find(['.', ',']) else { return (text.to_owned(), false) };
    let digits = text[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
    let (keep, rest) = (point + 1 + digits.min(9), point + 1 + digits);
    (format!("{}{}", &text[..keep], &text[rest..]), is_finer(&text[point + 1..rest]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_600_000_000 * SECOND_NS);

    #[test]
    fn times_are_exact() {
        for (text, ns) in [
            ("2018-06-21T10:42:00Z", 1_529_577_720_000_000_000),
            ("2018-06-21T12:42:00+02:00", 1_529_577_720_000_000_000),
            ("2018-06-21 12:42:00.5+02:00", 1_529_577_720_500_000_000),
            ("2018-06-21T10:42:00.123456789Z", 1_529_577_720_123_456_789),
            ("2018-06-21T10:42:00.1234567890000Z", 1_529_577_720_123_456_789),
            ("2018-06-21T10:42:00.1234567890001Z", 1_529_577_720_123_456_790),
            ("2018-06-21T12:41:59.9999999999+02:00", 1_529_577_720_000_000_000),
            ("1529577720", 1_529_577_720_000_000_000),
            ("1529577720.5", 1_529_577_720_500_000_000),
            ("1529577720.123456789", 1_529_577_720_123_456_789),
            ("1529577720.1234567890000000000000000000000000000000000000", 1_529_577_720_123_456_789),
            ("1529577720.1234567890000000000000000000000000000000000001", 1_529_577_720_123_456_790),
            ("1529577720.9999999999", 1_529_577_721_000_000_000),
            ("0", 0),
            ("0.000000001", 1),
            ("18446744073.709551615", u64::MAX),
            ("2554-07-21T23:34:33.709551615Z", u64::MAX),
            ("now", NOW.as_nanos()),
            ("-0s", NOW.as_nanos()),
            ("-5m", NOW.as_nanos() - 300 * SECOND_NS),
            ("-1h30m", NOW.as_nanos() - 5400 * SECOND_NS),
            ("-9999w", 0),
        ] {
            assert_eq!(parse_time(text, NOW), Ok(Timestamp::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn other_times_say_what_to_write() {
        for (text, want) in [
            (
                "2018-06-21T10:42:00",
                "2018-06-21T10:42:00 has no zone: write 2018-06-21T10:42:00Z for UTC, or 2018-06-21T10:42:00+02:00",
            ),
            ("2018-06-21 10:42", "write 2018-06-21T10:42:00Z"),
            ("2018-06-21", "write 2018-06-21T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "outside of 1970"),
            ("2554-07-21T23:34:34Z", "outside of 1970"),
            ("18446744073.709551616", "outside of 1970"),
            ("18446744073.7095516151", "outside of 1970"),
            ("2554-07-21T23:34:33.7095516151Z", "outside of 1970"),
            ("99999999999999999999999999999999999999999999999999", "outside of 1970"),
            ("-5", "write 5s for seconds"),
            ("-5 minutes", "like 90s, 5m"),
            ("yesterday", "write RFC 3339"),
            ("", "write RFC 3339"),
            ("NOW", "write RFC 3339"),
            ("+5m", "write RFC 3339"),
            ("2018-02-30T10:42:00Z", "write RFC 3339"),
            ("1e9", "write RFC 3339"),
            ("5.", "write RFC 3339"),
            (".5", "write RFC 3339"),
        ] {
            let error = parse_time(text, NOW).unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn durations() {
        for (text, ns) in [
            ("90s", 90 * SECOND_NS),
            ("5m", 300 * SECOND_NS),
            ("24h", 86_400 * SECOND_NS),
            ("7d", 604_800 * SECOND_NS),
            ("1w", 604_800 * SECOND_NS),
            ("1h30m", 5400 * SECOND_NS),
            ("1.5h", 5400 * SECOND_NS),
            ("250ms", 250_000_000),
            ("3us", 3000),
            ("3µs", 3000),
            ("7ns", 7),
            ("0.1s", 100_000_000),
            ("1.9ns", 1),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
        }
        for text in ["", "5", "m", "5x", "5 m", "-5m", "5m3", "1..5s", "1.s", "5M", "99999999999999999999d", "600y", "213504d"] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains("write"), "{text}: {error}");
        }
    }
}
