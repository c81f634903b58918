//! An address with a length: `10.1.2.3`, `10.0.0.0/8`, `2001:db8::/32`.

use crate::wire::spread;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that share the first `length` bits. Host bits are cleared. An IPv4-mapped IPv6 address is IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no address and no prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash.
    #[error("{0:?} is no IP address: write one like 10.1.2.3, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32")]
    Address(String),
    /// The part behind it.
    #[error("{text:?} has no prefix length from 0 to {most} behind the slash: write for example {address}/{most}")]
    Length {
        /// The whole text.
        text: String,
        /// The address in it.
        address: IpAddr,
        /// 32 or 128.
        most: u8,
    },
}

impl Prefix {
    /// The prefix of `length` bits that `address` lies in; `None` where the address has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        (length <= bits(address)).then(|| Prefix { address: cut(address, length), length })
    }

    /// One address.
    pub fn single(address: IpAddr) -> Self {
        Prefix { address, length: bits(address) }
    }

    /// The lowest address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The length in bits, at most 32 or 128.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is of this family and lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.length) == self.address
    }

    /// The lowest and the highest address as [`spread`] writes them, and whether they are IPv4.
    pub fn range(&self) -> ([u8; 16], [u8; 16], bool) {
        let highest = match self.address {
            IpAddr::V4(x) => IpAddr::V4(Ipv4Addr::from(u32::from(x) | !mask4(self.length))),
            IpAddr::V6(x) => IpAddr::V6(Ipv6Addr::from(u128::from(x) | !mask6(self.length))),
        };
        (spread(self.address), spread(highest), self.address.is_ipv4())
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

fn mask6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

fn cut(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(x) => IpAddr::V4(Ipv4Addr::from(u32::from(x) & mask4(length))),
        IpAddr::V6(x) => IpAddr::V6(Ipv6Addr::from(u128::from(x) & mask6(length))),
    }
}

/// The length is written only where it is not the full one.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.length != bits(self.address) {
            write!(f, "/{}", self.length)?;
        }
        Ok(())
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Address(address.to_owned()))?;
        let Some(length) = length else { return Ok(Prefix::single(address)) };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        (if digits { length.parse().ok() } else { None })
            .and_then(|length| Prefix::new(address, length))
            .ok_or(PrefixError::Length { text: text.to_owned(), address, most: bits(address) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_clear_host_bits_and_print_short() {
        for (text, printed) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("255.255.255.255/0", "0.0.0.0/0"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
            ("ffff::/0", "::/0"),
        ] {
            let p: Prefix = text.parse().unwrap();
            assert_eq!(p.to_string(), printed);
            assert_eq!(printed.parse(), Ok(p));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "10.1.2", "10.1.2.300", "host", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "fe80::1%eth0", "010.1.2.3"]
        {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains("write"), "{text}: {error}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let p: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(p.contains("255.1.2.3".parse().unwrap()) && !p.contains("::ffff:1.2.3.4".parse().unwrap()));
        let p: Prefix = "10.128.0.0/9".parse().unwrap();
        assert!(p.contains("10.255.0.1".parse().unwrap()) && !p.contains("10.127.0.1".parse().unwrap()));
        let (low, high, v4) = p.range();
        assert_eq!((&low[..5], &high[..5], v4), (&[10, 128, 0, 0, 0][..], &[10, 255, 255, 255, 0][..], true));
    }
}
