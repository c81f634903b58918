//! What rows begin with: the time, and the connection.

use crate::flow::End;
use crate::time::{SECOND_NS, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// When: `ts` and `ts_ns`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("ts", &epoch(self.0))?;
        map.serialize_entry("ts_ns", &self.0.as_nanos())?;
        map.end()
    }
}

/// When, and of which connection: `ts`, `ts_ns`, `uid`, `id.orig_h`, `id.orig_p`, `id.resp_h`, `id.resp_p`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// When it happened; of a pair the request's time.
    pub ts: Timestamp,
    /// The connection's uid.
    pub uid: String,
    /// Who opened the connection.
    pub orig: End,
    /// The other end.
    pub resp: End,
}

impl Head {
    /// The same connection at another time.
    pub fn at(&self, ts: Timestamp) -> Head {
        Head { ts, ..self.clone() }
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("ts", &epoch(self.ts))?;
        map.serialize_entry("ts_ns", &self.ts.as_nanos())?;
        map.serialize_entry("uid", &self.uid)?;
        map.serialize_entry("id.orig_h", &self.orig.ip)?;
        map.serialize_entry("id.orig_p", &self.orig.port)?;
        map.serialize_entry("id.resp_h", &self.resp.ip)?;
        map.serialize_entry("id.resp_p", &self.resp.port)?;
        map.end()
    }
}

/// Zeek's `time`: seconds since 1970, to the microsecond (later digits are cut, as Zeek reads them from a capture).
pub fn epoch(ts: Timestamp) -> f64 {
    interval(ts.as_nanos())
}

/// Zeek's `interval`: seconds, to the microsecond.
pub fn interval(ns: u64) -> f64 {
    // Microseconds stay below 2^53 until the year 2255, so they are exact; the division then gives the nearest number to the six decimals.
    (ns / 1000) as f64 / 1e6
}

/// A FILETIME (100 ns since 1601) as Zeek's `time`; `None` for 0, which stands for "not told".
pub fn filetime(value: u64) -> Option<f64> {
    const FROM_1601_TO_1970_S: i64 = 11_644_473_600;
    let micros = i64::try_from(value / 10).ok().filter(|_| value != 0)?;
    Some((micros - FROM_1601_TO_1970_S * 1_000_000) as f64 / 1e6)
}

/// The time between two moments as an interval; `None` where they are the same, as Zeek leaves a zero round trip out.
pub fn between(from: Timestamp, to: Timestamp) -> Option<f64> {
    Some(interval(to.since(from))).filter(|&s| s > 0.0)
}

/// Seconds since 1970 as Zeek's `time`; `None` before 1970.
pub fn epoch_seconds(seconds: i64) -> Option<f64> {
    let seconds = u64::try_from(seconds).ok()?;
    Some(interval(seconds.checked_mul(SECOND_NS)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A connection for tests.
    pub(crate) fn head(ts_ns: u64, port: u16) -> Head {
        let end = |last, port| End { ip: std::net::Ipv4Addr::new(192, 0, 2, last).into(), port };
        Head { ts: Timestamp::from_nanos(ts_ns), uid: "C1".into(), orig: end(1, 50_000), resp: end(2, port) }
    }

    #[test]
    fn is_flat_and_exact() {
        let json = serde_json::to_string(&head(1_549_643_138_282_482_999, 445)).unwrap();
        assert_eq!(
            json,
            r#"{"ts":1549643138.282482,"ts_ns":1549643138282482999,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":50000,"id.resp_h":"192.0.2.2","id.resp_p":445}"#
        );
    }

    #[test]
    fn filetimes() {
        // 1970-01-01 as a FILETIME, [MS-DTYP] 2.3.3's epoch being 1601-01-01.
        assert_eq!(filetime(116_444_736_000_000_000), Some(0.0));
        assert_eq!(filetime(0), None);
        assert_eq!(filetime(131_941_167_382_824_820), Some(1_549_643_138.282482));
        let _ = filetime(u64::MAX);
    }

    proptest! {
        #[test]
        fn keeps_every_microsecond(us in 0u64..4_000_000_000_000_000) {
            let text = serde_json::to_string(&epoch(Timestamp::from_nanos(us * 1000))).unwrap();
            let (seconds, fraction) = text.split_once('.').unwrap();
            let back = seconds.parse::<u64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<u64>().unwrap();
            prop_assert!(fraction.len() <= 6);
            prop_assert_eq!(back, us);
        }
    }
}
