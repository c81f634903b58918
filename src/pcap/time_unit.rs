//! The unit and the origin of an interface's times (`if_tsresol`, `if_tsoffset`).

use crate::time::{SECOND_NS, Timestamp};

/// What turns a file's time into nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeUnit {
    scale: Scale,
    offset_s: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scale {
    /// Nanoseconds in one unit.
    Multiply(u64),
    /// Units in one nanosecond.
    Divide(u64),
    /// Units are 2^-n seconds.
    Binary(u32),
    /// So fine that any value is less than a nanosecond.
    Nothing,
}

impl TimeUnit {
    /// From the values of the two options.
    pub(super) fn new(resolution: u8, offset_s: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let scale = if resolution & 0x80 != 0 {
            Scale::Binary(exponent)
        } else if exponent <= 9 {
            Scale::Multiply(10_u64.pow(9 - exponent))
        } else {
            10_u64.checked_pow(exponent - 9).map_or(Scale::Nothing, Scale::Divide)
        };
        TimeUnit { scale, offset_s }
    }

    /// The time, rounded down, and whether it was out of range and clamped.
    #[inline]
    pub(super) fn timestamp(self, value: u64) -> (Timestamp, bool) {
        if let (Scale::Multiply(by), 0) = (self.scale, self.offset_s)
            && let Some(ns) = value.checked_mul(by)
            && ns <= Timestamp::LAST.as_nanos()
        {
            return (Timestamp::from_nanos(ns), false);
        }
        self.wide(value)
    }

    fn wide(self, value: u64) -> (Timestamp, bool) {
        let value = u128::from(value);
        // Every branch stays below 2^94.
        let ns = match self.scale {
            Scale::Multiply(by) => value * u128::from(by),
            Scale::Divide(by) => value / u128::from(by),
            Scale::Binary(bits) => (value * u128::from(SECOND_NS)) >> bits,
            Scale::Nothing => 0,
        };
        let ns = ns as i128 + i128::from(self.offset_s) * i128::from(SECOND_NS);
        let last = Timestamp::LAST.as_nanos();
        match u64::try_from(ns) {
            Ok(ns) if ns <= last => (Timestamp::from_nanos(ns), false),
            _ if ns < 0 => (Timestamp::ZERO, true),
            _ => (Timestamp::LAST, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_unit_is_rounded_down_and_clamped() {
        for (resolution, offset, value, ns, clamped) in [
            (6, 0, 1_500_000, 1_500_000_000, false),
            (0, 0, 7, 7_000_000_000, false),
            (9, 0, u64::MAX - 1, u64::MAX - 1, false),
            (9, 0, u64::MAX, u64::MAX - 1, true),
            (3, 0, u64::MAX, u64::MAX - 1, true),
            (12, 0, 1_999, 1, false),
            (28, 0, u64::MAX, 1, false),
            (29, 0, u64::MAX, 0, false),
            (127, 0, u64::MAX, 0, false),
            (0x80, 0, 3, 3_000_000_000, false),
            (0x80 | 10, 0, 1025, 1_000_976_562, false),
            (0xff, 0, u64::MAX, 0, false),
            (6, -1, 999_999, 0, true),
            (6, -1, 1_000_001, 1000, false),
            (12, 2, 1_999, 2_000_000_001, false),
            (9, i64::MAX, u64::MAX, u64::MAX - 1, true),
            (9, i64::MIN, u64::MAX, 0, true),
        ] {
            let got = TimeUnit::new(resolution, offset).timestamp(value);
            assert_eq!(got, (Timestamp::from_nanos(ns), clamped), "{resolution} {offset} {value}");
        }
    }
}
