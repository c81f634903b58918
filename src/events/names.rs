//! Host names: what an address was called, by whom, and when that was learned.

use super::dhcp::Dhcp;
use super::dns_message::{Data, DnsMessage};
use crate::identity::ntlm_pairs::AvPairs;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a name comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NameFrom {
    /// A DNS answer (mDNS and LLMNR too).
    Dns,
    /// A NetBIOS name service answer.
    Netbios,
    /// The server's own words in an NTLM CHALLENGE.
    Ntlm,
    /// A DHCP conversation: the client's own words.
    Dhcp,
}

/// What the memory of names may cost.
#[derive(Clone, Copy, Debug)]
pub struct NameLimits {
    /// Addresses; the one learned first is forgotten first. Default 65,536: with one name each some 15 MiB.
    pub addresses_max: usize,
    /// Names of one address; the one learned first is forgotten first. Default 8.
    pub names_max: usize,
    /// Bytes of the longest name; longer ones are not learned. Default 255, DNS's own limit.
    pub name_bytes_max: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        NameLimits { addresses_max: 65_536, names_max: 8, name_bytes_max: 255 }
    }
}

#[derive(Clone, Debug)]
struct Name {
    name: String,
    from: NameFrom,
    learned: Timestamp,
}

/// The names learned so far.
#[derive(Debug, Default)]
pub struct HostNames {
    limits: NameLimits,
    names: HashMap<IpAddr, VecDeque<Name>, ahash::RandomState>,
    order: VecDeque<IpAddr>,
    forgotten: u64,
}

impl HostNames {
    /// No name is known.
    pub fn new(limits: NameLimits) -> Self {
        HostNames { limits, ..HostNames::default() }
    }

    /// Learns that an address is called so. Said again by the same source it keeps its first time.
    pub fn learn(&mut self, ip: IpAddr, name: &str, from: NameFrom, at: Timestamp) {
        let name = name.trim_end_matches('.');
        if name.is_empty() || name.len() > self.limits.name_bytes_max || ip.is_unspecified() || self.limits.addresses_max == 0 {
            return;
        }
        if !self.names.contains_key(&ip) {
            while self.names.len() >= self.limits.addresses_max {
                let Some(first) = self.order.pop_front() else { break };
                self.forgotten += self.names.remove(&first).map_or(0, |names| names.len() as u64);
            }
            self.order.push_back(ip);
        }
        let names = self.names.entry(ip).or_default();
        if let Some(known) = names.iter_mut().find(|n| n.name.eq_ignore_ascii_case(name) && n.from == from) {
            known.learned = known.learned.min(at);
            return;
        }
        if names.len() >= self.limits.names_max {
            names.pop_front();
            self.forgotten += 1;
        }
        names.push_back(Name { name: name.to_owned(), from, learned: at });
    }

    /// What an address was called at this time: the name learned last until then, else the one learned first after it; where it comes from, and
    /// when it was learned.
    pub fn lookup(&self, ip: IpAddr, at: Timestamp) -> Option<(&str, NameFrom, Timestamp)> {
        let names = self.names.get(&ip)?;
        let before = names.iter().filter(|n| n.learned <= at).max_by_key(|n| n.learned);
        let name = before.or_else(|| names.iter().min_by_key(|n| n.learned))?;
        Some((&name.name, name.from, name.learned))
    }

    /// Names that were forgotten at a limit.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Learns from a DNS answer: addresses by the name that was asked for, and names of addresses (PTR). `port` is the server's; on port 137 names
    /// are NetBIOS names.
    pub fn learn_dns(&mut self, message: &DnsMessage, port: u16, at: Timestamp) {
        if !message.answer || message.rcode != 0 {
            return;
        }
        let asked = message.questions.first().map(|q| q.name.as_str());
        for record in message.answers() {
            // Through an alias the asked name is the one that people know.
            let owner = asked.filter(|name| !name.is_empty()).unwrap_or(&record.name);
            match (&record.data, record.rtype) {
                (Data::V4(ip), 1) => self.learn((*ip).into(), owner, NameFrom::Dns, at),
                (Data::V6(ip), 28) => self.learn((*ip).into(), owner, NameFrom::Dns, at),
                (Data::Name(name), 12) => {
                    if let Some(ip) = reverse(&record.name) {
                        self.learn(ip, name, NameFrom::Dns, at);
                    }
                }
                (Data::NetBios(addresses), 32) if port == 137 => {
                    let name = super::dns_message::netbios_name(&record.name);
                    // Group names (one name, many addresses) name no host.
                    if let [ip] = addresses.as_slice() {
                        self.learn((*ip).into(), &name, NameFrom::Netbios, at);
                    }
                }
                _ => {}
            }
        }
    }

    /// Learns what the server at this address calls itself in a CHALLENGE: its DNS name, else its NetBIOS name.
    pub fn learn_ntlm(&mut self, server: IpAddr, pairs: &AvPairs, at: Timestamp) {
        let told = |name: &Option<String>| name.clone().filter(|n| !n.is_empty());
        if let Some(name) = told(&pairs.dns_computer_name).or_else(|| told(&pairs.nb_computer_name)) {
            self.learn(server, &name, NameFrom::Ntlm, at);
        }
    }

    /// Learns from a DHCP conversation in which an address was assigned or used.
    pub fn learn_dhcp(&mut self, row: &Dhcp) {
        let (Some(ip), Some(name)) = (row.assigned_addr.or(row.client_addr), row.client_fqdn.as_ref().or(row.host_name.as_ref()))
        else {
            return;
        };
        self.learn(ip, name, NameFrom::Dhcp, row.moment.0);
    }
}

/// The address that a name under in-addr.arpa or ip6.arpa stands for (RFC 1035 3.5, RFC 3596 2.5).
fn reverse(name: &str) -> Option<IpAddr> {
    let name = name.to_ascii_lowercase();
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<u8> = digits.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [d, c, b, a] = parts.try_into().ok()?;
        return Some(Ipv4Addr::new(a, b, c, d).into());
    }
    let nibbles: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').collect();
    if nibbles.len() != 32 || nibbles.iter().any(|n| n.len() != 1) {
        return None;
    }
    let digits: String = nibbles.into_iter().rev().collect();
    u128::from_str_radix(&digits, 16).ok().map(|bits| Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::super::dns_message::tests::{reply, wire_name};
    use super::*;
    use proptest::prelude::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_nanos(s)
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_name_of_the_time() {
        let mut names = HostNames::default();
        names.learn(ip(1), "old.example", NameFrom::Dns, at(10));
        names.learn(ip(1), "new.example.", NameFrom::Dhcp, at(20));
        names.learn(ip(1), "OLD.example", NameFrom::Dns, at(30));
        assert_eq!(names.lookup(ip(1), at(15)), Some(("old.example", NameFrom::Dns, at(10))));
        assert_eq!(names.lookup(ip(1), at(99)), Some(("new.example", NameFrom::Dhcp, at(20))));
        assert_eq!(names.lookup(ip(1), at(1)), Some(("old.example", NameFrom::Dns, at(10))));
        assert_eq!(names.lookup(ip(2), at(1)), None);
    }

    #[test]
    fn learns_from_dns() {
        let mut names = HostNames::default();
        let told = reply(1, "files.example", 1, 0, &[(5, wire_name("fs1.example")), (1, vec![192, 0, 2, 5])]);
        names.learn_dns(&DnsMessage::parse(&told).unwrap(), 53, at(1));
        let told = reply(1, "6.2.0.192.in-addr.arpa", 12, 0, &[(12, wire_name("ws6.example"))]);
        names.learn_dns(&DnsMessage::parse(&told).unwrap(), 53, at(2));
        let told = reply(1, "EMEPEDEBEMCACACACACACACACACACAAA", 32, 0, &[(32, vec![0, 0, 192, 0, 2, 7])]);
        names.learn_dns(&DnsMessage::parse(&told).unwrap(), 137, at(3));
        assert_eq!(names.lookup(ip(5), at(9)), Some(("files.example", NameFrom::Dns, at(1))));
        assert_eq!(names.lookup(ip(6), at(9)), Some(("ws6.example", NameFrom::Dns, at(2))));
        assert_eq!(names.lookup(ip(7), at(9)), Some(("LOCAL", NameFrom::Netbios, at(3))));
        let told = reply(1, "no.example", 1, 3, &[(1, vec![192, 0, 2, 8])]);
        names.learn_dns(&DnsMessage::parse(&told).unwrap(), 53, at(1));
        assert_eq!(names.lookup(ip(8), at(9)), None);
    }

    #[test]
    fn learns_what_a_server_calls_itself() {
        let mut names = HostNames::default();
        let pairs = AvPairs { nb_computer_name: Some("FS1".into()), ..AvPairs::default() };
        names.learn_ntlm(ip(1), &pairs, at(1));
        assert_eq!(names.lookup(ip(1), at(1)).map(|n| (n.0, n.1)), Some(("FS1", NameFrom::Ntlm)));
    }

    #[test]
    fn reverse_names() {
        assert_eq!(reverse("1.2.0.192.in-addr.arpa"), Some(ip(1).to_string().parse().unwrap()));
        let six = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(reverse(&six), Some("2001:db8::1".parse().unwrap()));
        for wrong in ["x.in-addr.arpa", "1.2.3.in-addr.arpa", "1.ip6.arpa", "example"] {
            assert_eq!(reverse(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn is_bounded(learned in proptest::collection::vec((any::<u8>(), "[a-c]{1,2}", any::<u8>()), 0..200)) {
            let mut names = HostNames::new(NameLimits { addresses_max: 5, names_max: 2, name_bytes_max: 10 });
            for (last, name, when) in learned {
                names.learn(ip(last), &name, NameFrom::Dns, at(when.into()));
                prop_assert!(names.names.len() <= 5 && names.order.len() == names.names.len());
                prop_assert!(names.names.values().all(|n| n.len() <= 2));
            }
        }
    }
}
