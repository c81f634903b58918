//! Sizes as people write them: `512MiB`, `20GB`, `4096`.

use super::time_text::{decimal, scaled};
use std::fmt;
use std::str::FromStr;

/// Why a text is no size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SizeError {
    /// `512M`: is it a power of ten or of two?
    #[error("{text:?} is ambiguous: write {number}{letter}iB (1024s) or {number}{letter}B (1000s)")]
    Ambiguous {
        /// What was written.
        text: String,
        /// Its number.
        number: String,
        /// Its letter.
        letter: char,
    },
    /// More than 64 bits hold.
    #[error("{0:?} is too large: write at most 16383PiB")]
    TooLarge(String),
    /// Not a number with a unit, or not whole bytes.
    #[error("{0:?} is no size: write whole bytes like 4096, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, like 512MiB")]
    Form(String),
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse_size(text).map(Size)
    }
}

/// A size in bytes; units in any case, a fraction of a byte is cut off.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form(text.to_owned());
    let number = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(number);
    let (whole, fraction) = decimal(number).ok_or_else(form)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = |letter: &str| "kmgtp".find(letter).map(|i| i as u32 + 1);
    let factor = match unit.as_str() {
        "" | "b" if fraction.is_empty() => 1,
        "k" | "m" | "g" | "t" | "p" => {
            let letter = unit.to_ascii_uppercase().chars().next().unwrap_or('K');
            return Err(SizeError::Ambiguous { text: text.to_owned(), number: number.to_owned(), letter });
        }
        u if u.len() == 3 && u.ends_with("ib") => 1024u64.pow(power(&u[..1]).ok_or_else(form)?),
        u if u.len() == 2 && u.ends_with('b') => 1000u64.pow(power(&u[..1]).ok_or_else(form)?),
        _ => return Err(form()),
    };
    scaled(whole, fraction, factor).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("0", 0),
            ("12B", 12),
            ("512MiB", 512 << 20),
            ("512mib", 512 << 20),
            ("20GB", 20_000_000_000),
            ("20 GB", 20_000_000_000),
            ("1.5GiB", 3 << 29),
            ("1kB", 1000),
            ("0.1kB", 100),
            ("2PiB", 2 << 50),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "x", "1.5", "MiB", "-1", "1e3", "5M", "18446744073709551616", "16384PiB", "1XB", "1MiBB", "1éb", "ib", "1bib"]
        {
            let error = parse_size(text).unwrap_err().to_string();
            assert!(error.contains("write"), "{text}: {error}");
        }
    }
}
