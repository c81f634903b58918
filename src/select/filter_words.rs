//! The words of a filter in pcap-filter syntax, split as libpcap's scanner splits them: at each place the longest match of all
//! rules, the earlier rule where two are equally long.

/// One word of a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// Which of the scanner's rules matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A word of the language (`host`, `and`, `tcp`).
    Keyword,
    /// A named number (`tcp-syn`, `icmp-echo`).
    Constant,
    /// A decimal, octal or hexadecimal number.
    Number,
    /// Two to four numbers with dots between them.
    Dotted,
    /// An IPv6 address.
    Ip6,
    /// A MAC address, or an ARCnet address with its `$`.
    Mac,
    /// Any other word: libpcap may look it up.
    Name,
    /// A word behind a backslash: never a keyword.
    Escaped,
    /// An operator or parenthesis.
    Operator,
    /// What libpcap calls a bogus ethernet address.
    Bogus,
}

impl Word<'_> {
    pub(super) fn is_and(&self) -> bool {
        self.text == "and" || self.text == "&&"
    }

    pub(super) fn is_or(&self) -> bool {
        self.text == "or" || self.text == "||"
    }

    pub(super) fn is_not(&self) -> bool {
        self.text == "not" || self.text == "!"
    }
}

/// The keywords of libpcap 1.10.
const KEYWORDS: &str = "dst src link ether ppp slip fddi tr wlan arp rarp ip sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6 icmp6 \
    ah esp atalk aarp decnet lat sca moprc mopdl iso esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui host net \
    mask port portrange proto protochain gateway type subtype direction dir address1 addr1 address2 addr2 address3 addr3 address4 \
    addr4 ra ta less greater byte broadcast multicast and or not len length inbound outbound ifindex vlan mpls pppoed pppoes geneve \
    vxlan lane llc metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect on ifname rset ruleset rnr rulenum srnr \
    subrulenum reason action fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls";

/// Its named numbers.
const CONSTANTS: &str = "icmptype icmpcode icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert \
    icmp-routersolicit icmp-timxceed icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq icmp-ireqreply icmp-maskreq icmp-maskreply \
    icmp6type icmp6code icmp6-destinationunreach icmp6-packettoobig icmp6-timeexceeded icmp6-parameterproblem icmp6-echo \
    icmp6-echoreply icmp6-multicastlistenerquery icmp6-multicastlistenerreportv1 icmp6-multicastlistenerdone icmp6-routersolicit \
    icmp6-routeradvert icmp6-neighborsolicit icmp6-neighboradvert icmp6-redirect icmp6-routerrenum icmp6-nodeinformationquery \
    icmp6-nodeinformationresponse icmp6-ineighbordiscoverysolicit icmp6-ineighbordiscoveryadvert icmp6-multicastlistenerreportv2 \
    icmp6-homeagentdiscoveryrequest icmp6-homeagentdiscoveryreply icmp6-mobileprefixsolicit icmp6-mobileprefixadvert \
    icmp6-certpathsolicit icmp6-certpathadvert icmp6-multicastrouteradvert icmp6-multicastroutersolicit icmp6-multicastrouterterm \
    tcpflags tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr";

/// Whether it is a word of the language.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.split_ascii_whitespace().any(|k| k == word)
}

fn is_constant(word: &str) -> bool {
    CONSTANTS.split_ascii_whitespace().any(|k| k == word)
}

/// The words of `filter`; the first character that begins none otherwise.
pub(super) fn words(filter: &str) -> Result<Vec<Word<'_>>, char> {
    let mut out = Vec::new();
    let mut rest = filter;
    while let Some(first) = rest.chars().next() {
        if matches!(first, ' ' | '\r' | '\n' | '\t') {
            rest = &rest[1..];
            continue;
        }
        // All rules match ASCII only (a name behind a backslash ends before anything else here), so bytes are characters.
        let bytes = rest.as_bytes();
        let id = name_length(bytes);
        let as_name = match &rest[..id] {
            word if is_keyword(word) => Kind::Keyword,
            word if is_constant(word) => Kind::Constant,
            _ => Kind::Name,
        };
        let keyword = if as_name == Kind::Keyword { id } else { 0 };
        let name = if as_name == Kind::Keyword { 0 } else { id };
        let candidates = [
            (keyword, Kind::Keyword),
            (operator_length(bytes), Kind::Operator),
            (arcnet_length(bytes), Kind::Mac),
            (mac_length(bytes), Kind::Mac),
            (number_length(bytes), Kind::Number),
            (dotted_length(bytes), Kind::Dotted),
            (ip6_length(bytes), Kind::Ip6),
            (bogus_length(bytes), Kind::Bogus),
            (name, as_name),
            (escaped_length(bytes), Kind::Escaped),
        ];
        let longest = candidates.iter().map(|c| c.0).max().unwrap_or(0);
        let kind = candidates.iter().find(|c| c.0 == longest).filter(|_| longest > 0).ok_or(first)?.1;
        out.push(Word { kind, text: &rest[..longest] });
        rest = &rest[longest..];
    }
    Ok(out)
}

fn operator_length(b: &[u8]) -> usize {
    match b {
        [b'&', b'&', ..] | [b'|', b'|', ..] | [b'>' | b'<' | b'!' | b'=', b'=', ..] | [b'<', b'<', ..] | [b'>', b'>', ..] => 2,
        [first, ..] if b"+-*/%:[]!<>()&|^=".contains(first) => 1,
        _ => 0,
    }
}

/// `[A-Za-z0-9]([-_.A-Za-z0-9]*[.A-Za-z0-9])?`
fn name_length(b: &[u8]) -> usize {
    if !b.first().is_some_and(u8::is_ascii_alphanumeric) {
        return 0;
    }
    let run = b.iter().take_while(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c)).count();
    b[..run].iter().rposition(|c| !b"-_".contains(c)).map_or(0, |last| last + 1)
}

/// A backslash and a name. libpcap takes more than names; what is more is an error here, and names of services and protocols
/// are not longer.
fn escaped_length(b: &[u8]) -> usize {
    if b.first() != Some(&b'\\') {
        return 0;
    }
    let run = b[1..].iter().take_while(|c| !b" !()\n\t".contains(c)).count();
    if run > 0 && b[1..=run].iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c)) { run + 1 } else { 0 }
}

fn hex(b: &[u8], most: usize) -> usize {
    b.iter().take(most).take_while(|c| c.is_ascii_hexdigit()).count()
}

fn arcnet_length(b: &[u8]) -> usize {
    match b {
        [b'$', rest @ ..] if hex(rest, 2) > 0 => 1 + hex(rest, 2),
        _ => 0,
    }
}

/// Six bytes with one kind of separator, three groups of four digits with dots, or twelve digits.
fn mac_length(b: &[u8]) -> usize {
    let bytes = |separator: u8| {
        let mut at = 0;
        for i in 0..6 {
            let digits = hex(&b[at..], 2);
            if digits == 0 || i < 5 && b.get(at + digits) != Some(&separator) {
                return 0;
            }
            at += digits + usize::from(i < 5);
        }
        at
    };
    let four = |at: usize| b.get(at..).is_some_and(|rest| hex(rest, 4) == 4);
    let groups = if four(0) && b.get(4) == Some(&b'.') && four(5) && b.get(9) == Some(&b'.') && four(10) { 14 } else { 0 };
    let plain = if hex(b, 12) == 12 { 12 } else { 0 };
    bytes(b':').max(bytes(b'-')).max(bytes(b'.')).max(groups).max(plain)
}

fn number_length(b: &[u8]) -> usize {
    if let [b'0', b'x' | b'X', rest @ ..] = b {
        let digits = hex(rest, usize::MAX);
        if digits > 0 {
            return digits + 2;
        }
    }
    b.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn dotted_length(b: &[u8]) -> usize {
    let mut at = number_length(b);
    if at == 0 {
        return 0;
    }
    let mut parts = 1;
    while parts < 4 && b.get(at) == Some(&b'.') && number_length(&b[at + 1..]) > 0 {
        at += 1 + number_length(&b[at + 1..]);
        parts += 1;
    }
    if parts > 1 { at } else { 0 }
}

/// The longest prefix that the scanner's IPv6 rules match. They are written out there one by one; together they say: eight groups
/// of up to four digits, or fewer with one `::`, the last two groups possibly written as four numbers with dots.
fn ip6_length(b: &[u8]) -> usize {
    /// Longer than any address, and bounds the work.
    const LONGEST: usize = 80;
    let run = b.iter().take(LONGEST).take_while(|c| c.is_ascii_hexdigit() || b":.xX".contains(c)).count();
    if !b[..run].contains(&b':') {
        return 0;
    }
    (2..=run).rev().find(|&n| std::str::from_utf8(&b[..n]).is_ok_and(is_ip6)).unwrap_or(0)
}

fn is_ip6(text: &str) -> bool {
    let (head, dotted) = match text.rfind(':') {
        Some(colon) if text[colon + 1..].contains('.') => (&text[..=colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let is_quad = |t: &str| dotted_length(t.as_bytes()) == t.len() && t.bytes().filter(|&c| c == b'.').count() == 3;
    if dotted.is_some_and(|quad| !is_quad(quad)) {
        return false;
    }
    // In front of dotted numbers, a single colon belongs to the group before it.
    let head = match dotted {
        Some(_) if !head.ends_with("::") => head.strip_suffix(':').unwrap_or(head),
        _ => head,
    };
    let groups = |part: &str| -> Option<usize> {
        if part.is_empty() {
            return Some(0);
        }
        part.split(':').all(|g| !g.is_empty() && hex(g.as_bytes(), 4) == g.len()).then(|| part.split(':').count())
    };
    let most = if dotted.is_some() { 6 } else { 8 };
    match head.split_once("::") {
        Some((before, after)) => matches!((groups(before), groups(after)), (Some(x), Some(y)) if x + y < most),
        None => groups(head) == Some(most),
    }
}

/// `{B}:+({B}:+)+`
fn bogus_length(b: &[u8]) -> usize {
    let mut at = 0;
    let mut parts = 0;
    loop {
        let digits = hex(&b[at..], 2);
        let colons = b[at + digits..].iter().take_while(|&&c| c == b':').count();
        if digits == 0 || colons == 0 {
            return if parts > 1 { at } else { 0 };
        }
        at += digits + colons;
        parts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_libpcap_splits_them() {
        use Kind::*;
        for (filter, want) in [
            ("host 1.2.3.4", vec![(Keyword, "host"), (Dotted, "1.2.3.4")]),
            ("1.2.3.4.5", vec![(Name, "1.2.3.4.5")]),
            ("1.2.3.4.5.6", vec![(Mac, "1.2.3.4.5.6")]),
            (
                "tcp[13]&2!=0",
                vec![
                    (Keyword, "tcp"),
                    (Operator, "["),
                    (Number, "13"),
                    (Operator, "]"),
                    (Operator, "&"),
                    (Number, "2"),
                    (Operator, "!="),
                    (Number, "0"),
                ],
            ),
            ("ip6[6:2]", vec![(Keyword, "ip6"), (Operator, "["), (Number, "6"), (Operator, ":"), (Number, "2"), (Operator, "]")]),
            ("0x1F 0xg", vec![(Number, "0x1F"), (Name, "0xg")]),
            ("80http", vec![(Name, "80http")]),
            ("len-5", vec![(Name, "len-5")]),
            ("len -5", vec![(Keyword, "len"), (Operator, "-"), (Number, "5")]),
            ("tcp-syn", vec![(Constant, "tcp-syn")]),
            ("tcp-synx", vec![(Name, "tcp-synx")]),
            ("TCP", vec![(Name, "TCP")]),
            ("foo- x", vec![(Name, "foo"), (Operator, "-"), (Name, "x")]),
            ("\\tcp)", vec![(Escaped, "\\tcp"), (Operator, ")")]),
            ("$1f", vec![(Mac, "$1f")]),
            ("aabbccddeeff", vec![(Mac, "aabbccddeeff")]),
            ("aabbccddeefg", vec![(Name, "aabbccddeefg")]),
            ("aa-bb-cc-dd-ee-f", vec![(Mac, "aa-bb-cc-dd-ee-f")]),
            ("aa-bb-cc-dd-ee-fg", vec![(Name, "aa-bb-cc-dd-ee-fg")]),
            ("aabb.ccdd.eeff", vec![(Mac, "aabb.ccdd.eeff")]),
            ("1:2:3:4:5:6", vec![(Mac, "1:2:3:4:5:6")]),
            ("1:2:3:4:5:6:7:8", vec![(Ip6, "1:2:3:4:5:6:7:8")]),
            ("fe80::1", vec![(Ip6, "fe80::1")]),
            ("::", vec![(Ip6, "::")]),
            ("::ffff:1.2.3.4", vec![(Ip6, "::ffff:1.2.3.4")]),
            ("1:2:3:4:5:6:1.2.3.4", vec![(Ip6, "1:2:3:4:5:6:1.2.3.4")]),
            ("fe80::1::2", vec![(Ip6, "fe80::1"), (Ip6, "::2")]),
            ("fe80::evil.example", vec![(Ip6, "fe80::e"), (Name, "vil.example")]),
            ("a:b:c:", vec![(Bogus, "a:b:c:")]),
            ("a:b", vec![(Name, "a"), (Operator, ":"), (Name, "b")]),
            ("a&&b||!c", vec![(Name, "a"), (Operator, "&&"), (Name, "b"), (Operator, "||"), (Operator, "!"), (Name, "c")]),
        ] {
            let got: Vec<_> = words(filter).unwrap().iter().map(|w| (w.kind, w.text)).collect();
            assert_eq!(got, want, "{filter}");
        }
        for filter in ["é", "tcp; x", "\\a&b", "#", "\u{b}", "_x"] {
            assert!(words(filter).is_err(), "{filter}");
        }
    }
}
