//! What a filter may say before libpcap sees it: no name that libpcap would look up as a host, network, gateway or MAC address
//! (that may ask a name server), and not more than compiles in about a second.
//!
//! In doubt a word is refused. Names pass only where libpcap's grammar takes them for a service or protocol (from the system's
//! `services` and `protocols`), or for one of its own words behind `type`, `subtype`, `dir`, `llc` and those of pf.

use super::filter_words::{Kind, Word, is_keyword, words};

/// The longest filter, in bytes.
pub const FILTER_LENGTH_MAX: usize = 8192;
/// What a filter may cost to compile: 4 for a name of a service or protocol and for a range of ports, 3 for a number, 2 for a `[`,
/// 1 for an address and a keyword.
///
/// libpcap's time grows with the square of the instructions. The slowest filters of this cost take it 0.6 s: 160 bare ranges of
/// ports in one list, 15,000 instructions.
pub const FILTER_COST_MAX: usize = 800;

/// Why a filter is refused, whatever the link type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterTextError {
    /// More than [`FILTER_LENGTH_MAX`] bytes.
    #[error("the filter is {0} bytes long, {FILTER_LENGTH_MAX} are allowed: use --ip and --port for long lists")]
    TooLong(usize),
    /// More than [`FILTER_COST_MAX`].
    #[error("the filter has too many terms ({0} of {FILTER_COST_MAX} points): use --ip and --port for long lists")]
    TooManyTerms(usize),
    /// A character that no word of a filter begins with.
    #[error("the filter has a character that means nothing there: {0:?}")]
    Character(char),
    /// A name where libpcap could look up an address.
    #[error("names are never looked up: write an address instead of {0:?} in the filter{1}")]
    Name(String, &'static str),
    /// Words that libpcap calls bogus.
    #[error("{0:?} in the filter is no address: write all of it")]
    Bogus(String),
    /// A keyword of a libpcap newer than the one that is installed, which would look it up.
    #[error("the installed libpcap does not know {0:?}: write it in other terms")]
    Keyword(String),
    /// libpcap refuses it.
    #[error("libpcap refuses the filter: {0}")]
    Refused(String),
}

/// Refuses a filter that could cause a look-up of a name, or that is too large; its words otherwise.
pub(super) fn check(filter: &str) -> Result<Vec<Word<'_>>, FilterTextError> {
    if filter.len() > FILTER_LENGTH_MAX {
        return Err(FilterTextError::TooLong(filter.len()));
    }
    let words = words(filter).map_err(FilterTextError::Character)?;
    let cost = words.iter().map(cost).sum();
    if cost > FILTER_COST_MAX {
        return Err(FilterTextError::TooManyTerms(cost));
    }
    let mut place = Place::Address;
    for word in &words {
        match word.kind {
            Kind::Bogus => return Err(FilterTextError::Bogus(word.text.to_owned())),
            Kind::Name | Kind::Escaped if !place.takes(word) => return Err(refused(word.text)),
            _ => place = place.after(word),
        }
    }
    Ok(words)
}

fn cost(word: &Word<'_>) -> usize {
    match word.kind {
        Kind::Name | Kind::Escaped => 4,
        Kind::Number | Kind::Constant => 3,
        Kind::Operator if word.text == "[" => 2,
        Kind::Operator if !word.is_and() && !word.is_or() => 0,
        _ => 1,
    }
}

fn refused(word: &str) -> FilterTextError {
    let lower = word.to_ascii_lowercase();
    let hint = if lower != word && is_keyword(&lower) { " (the filter's own words are in lower case)" } else { "" };
    FilterTextError::Name(word.to_owned(), hint)
}

/// What libpcap would take a name for that came next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A host, a network, or nothing good.
    Address,
    /// A service or protocol: the next word behind `port`, `portrange`, `proto`, `protochain`.
    Service,
    /// The same, behind one that is done: after `and` or `or` its qualifiers stay in force.
    ServiceDone,
    /// One of libpcap's own words, as behind `type`.
    Own,
}

impl Place {
    fn takes(self, word: &Word<'_>) -> bool {
        match self {
            // No service or protocol has a dot in its name, most hosts do.
            Place::Service => !word.text.contains('.'),
            Place::Own => word.kind == Kind::Name,
            Place::Address | Place::ServiceDone => false,
        }
    }

    fn after(self, word: &Word<'_>) -> Place {
        match (word.kind, word.text) {
            (Kind::Keyword, "port" | "portrange" | "proto" | "protochain") => Place::Service,
            (
                Kind::Keyword,
                "type" | "subtype" | "dir" | "direction" | "llc" | "on" | "ifname" | "rset" | "ruleset" | "reason" | "action",
            ) => Place::Own,
            (Kind::Name | Kind::Escaped | Kind::Number, _) if matches!(self, Place::Service) => Place::ServiceDone,
            _ if (word.is_and() || word.is_or()) && self == Place::ServiceDone => Place::Service,
            _ if word.is_not() && self == Place::Service => Place::Service,
            // Parentheses are left out: which qualifiers are in force behind one depends on what is in front of it.
            _ => Place::Address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_looked_up_are_refused() {
        for filter in [
            "host evil.example",
            "evil.example",
            "evil",
            "net foo",
            "src foo",
            "dst net foo",
            "ether host foo",
            "ether src foo",
            "gateway foo",
            "host 1.2.3.4.5",
            "host 1.2.3.4 or foo",
            "host 1.2.3.4a",
            "port ssh or foo.example",
            "port ssh and host foo",
            "port foo.example",
            "portrange foo.example-bar",
            "host 1.2.3.4 and (port 80) or foo",
            "host 1.2.3.4 and (port 80 or ssh) or foo",
            "port 80 or (foo)",
            "port (ssh or http) or foo",
            "(port ssh) and foo",
            "port ssh or tcp or foo",
            "port ssh or len > 5 or foo",
            "\\foo",
            "host \\tcp",
            "host \\evil.example",
            "port \\evil.example",
            "HOST 1.2.3.4",
            "Tcp",
            "tcp AND udp",
            "host foo-bar",
            "host a-b-c-d-e-f-g",
            "host aa-bb-cc-dd-ee-fg",
            "host face",
            "host fe80::evil",
            "host fe80::evil.example",
            "host ::1%eth0",
            "host xn--80ak6aa92e",
            "host localhost",
            "ip host foo",
            "ip6 host foo",
            "arp host foo",
            "decnet host foo",
            "not foo",
            "!foo",
            "host not foo",
            "tcp and foo",
            "tcp port",
            "type mgt or foo",
            "type mgt foo",
            "llc ui foo",
            "len-5",
            "host 0xg",
            "host é.example",
            "host foo\\.example",
            "host\x0bfoo",
            "tcp\0",
        ] {
            if filter == "tcp port" {
                assert!(check(filter).is_ok());
            } else {
                assert!(check(filter).is_err(), "{filter}");
            }
        }
    }

    #[test]
    fn numbers_services_and_protocols_pass() {
        for filter in [
            "",
            "host 1.2.3.4 and not (net 10.0.0.0/8 or 5.6.7.8)",
            "port ssh or http",
            "port ssh or not http and https",
            "tcp port ssh",
            "tcp src port ssh and host 1.2.3.4",
            "portrange ftp-data-ssh",
            "ip proto \\tcp or \\udp",
            "ether proto \\ip",
            "ip protochain 6",
            "ether host aa:bb:cc:dd:ee:ff",
            "ip6 host fe80::1",
            "net 2001:db8::/32",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "icmp[icmptype] = icmp-echo",
            "type mgt subtype beacon",
            "vlan 7 and mpls 3",
            "llc ui",
            "action pass",
            "less 100 or greater 1000",
            "port (443 or 80)",
        ] {
            assert!(check(filter).is_ok(), "{filter}: {:?}", check(filter).err());
        }
    }

    #[test]
    fn size_is_bounded() {
        assert!(matches!(check(&"(".repeat(FILTER_LENGTH_MAX + 1)), Err(FilterTextError::TooLong(_))));
        assert!(matches!(check(&format!("port 1{}", "||1".repeat(400))), Err(FilterTextError::TooManyTerms(_))));
        assert!(check(&format!("port 1{}", " or port 1".repeat(150))).is_ok());
        assert!(check("Host 1.2.3.4").unwrap_err().to_string().ends_with("(the filter's own words are in lower case)"));
    }
}
