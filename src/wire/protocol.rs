//! IP protocol numbers and the names that selections use for them (IANA "Protocol Numbers").

/// ICMP.
pub const ICMP: u8 = 1;
/// IPv4 in IP (RFC 2003).
pub const IPIP: u8 = 4;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// IPv6 in IP (RFC 4213).
pub const IPV6: u8 = 41;
/// Generic Routing Encapsulation (RFC 2784).
pub const GRE: u8 = 47;
/// Authentication Header (RFC 4302).
pub const AH: u8 = 51;
/// ICMPv6.
pub const ICMP6: u8 = 58;
/// Ethernet in IP (RFC 3378).
pub const ETHERIP: u8 = 97;
/// SCTP.
pub const SCTP: u8 = 132;
/// MPLS in IP (RFC 4023).
pub const MPLS_IN_IP: u8 = 137;

/// Names, the preferred one of a number first.
const NAMES: &[(&str, u8)] = &[
    ("icmp", ICMP),
    ("igmp", 2),
    ("ipip", IPIP),
    ("ipencap", IPIP),
    ("tcp", TCP),
    ("egp", 8),
    ("igp", 9),
    ("igrp", 9),
    ("udp", UDP),
    ("dccp", 33),
    ("ipv6", IPV6),
    ("ip6", IPV6),
    ("6in4", IPV6),
    ("rsvp", 46),
    ("gre", GRE),
    ("esp", 50),
    ("ah", AH),
    ("icmp6", ICMP6),
    ("icmpv6", ICMP6),
    ("ipv6-icmp", ICMP6),
    ("ipv6-nonxt", 59),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfigp", 89),
    ("etherip", ETHERIP),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("carp", 112),
    ("l2tp", 115),
    ("sctp", SCTP),
    ("udplite", 136),
    ("mpls-in-ip", MPLS_IN_IP),
];

/// The number of a protocol's name, in any case; `None` where the name is not known.
pub fn protocol_number(name: &str) -> Option<u8> {
    NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, number)| number)
}

/// The preferred name of a protocol; `None` where it has none here.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|&&(_, n)| n == number).map(|&(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for &(name, number) in NAMES {
            assert_eq!(protocol_number(name), Some(number));
            assert_eq!(protocol_name(number).and_then(protocol_number), Some(number));
        }
        assert_eq!(protocol_number("TCP"), Some(6));
        assert_eq!(protocol_number("ipv6-icmp"), Some(58));
        assert_eq!(protocol_name(58), Some("icmp6"));
        assert_eq!(protocol_number("nonsense"), None);
        assert_eq!(protocol_name(255), None);
    }
}
