//! A DNS message (RFC 1035 4), mDNS, LLMNR and NetBIOS name service included: total, every name bounded.

use super::text::printable;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Questions that are read.
pub const QUESTIONS_MAX: usize = 16;
/// Records of one message that are read: a full zone transfer's message has some hundred.
pub const RECORDS_MAX: usize = 2048;
/// Bytes of the longest name (RFC 1035 2.3.4); longer ones end there.
pub const NAME_BYTES_MAX: usize = 255;
/// Pointers followed for one name. Each must lead further back.
pub const POINTERS_MAX: usize = 32;
/// Bytes of text of all records of one message. Pointers let 64 KiB say much more: after this records have no data.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What is odd about a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DnsAnomaly {
    /// It ends before its counts say.
    Cut,
    /// A name that is too long, or a pointer that does not lead back.
    BadName,
    /// More questions, records or text than is read.
    Limit,
}

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The name as it stands, without the last dot; empty for the root.
    pub name: String,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
}

/// Which part of a message a record is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// Answers.
    Answer,
    /// Authority.
    Authority,
    /// Additional.
    Additional,
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// A.
    V4(Ipv4Addr),
    /// AAAA.
    V6(Ipv6Addr),
    /// NS, CNAME, PTR, MX, SRV, SOA (its primary server): a name.
    Name(String),
    /// TXT or SPF: its strings.
    Texts(Vec<String>),
    /// NetBIOS NB (RFC 1002 4.2.1.3): addresses.
    NetBios(Vec<Ipv4Addr>),
    /// RRSIG: the type covered, and the signer.
    Signature(u16, String),
    /// DNSKEY: the algorithm.
    Key(u8),
    /// DS: algorithm and digest type.
    Digest(u8, u8),
    /// NSEC: the next name.
    Next(String),
    /// SSHFP: the fingerprint in hex.
    Fingerprint(String),
    /// LOC: size, horizontal and vertical precision, as they stand.
    Location(u8, u8, u8),
    /// Another type, or data that is not what its type promises.
    Other,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Where it stands.
    pub section: Section,
    /// Its owner, as it stands.
    pub name: String,
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA.
    pub data: Data,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsMessage {
    /// ID.
    pub id: u16,
    /// QR: it is an answer.
    pub answer: bool,
    /// OPCODE.
    pub opcode: u8,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// RD.
    pub recursion_desired: bool,
    /// RA.
    pub recursion_available: bool,
    /// The three bits after it: Z, AD, CD.
    pub z: u8,
    /// RCODE of the header.
    pub rcode: u8,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT as they stand.
    pub counts: [u16; 4],
    /// The questions that could be read.
    pub questions: Vec<Question>,
    /// The records that could be read.
    pub records: Vec<Record>,
    /// What is odd.
    pub anomaly: Option<DnsAnomaly>,
}

impl DnsMessage {
    /// Reads a message, of TCP without its length. `None` only where there is no whole header.
    pub fn parse(bytes: &[u8]) -> Option<DnsMessage> {
        let mut reader = Reader { bytes, at: 12, text: 0, anomaly: None };
        let id = reader.u16_at(0)?;
        let flags = reader.u16_at(2)?;
        let mut counts = [0u16; 4];
        for (count, at) in counts.iter_mut().zip([4, 6, 8, 10]) {
            *count = reader.u16_at(at)?;
        }
        let bit = |n: u16| flags & (1 << n) != 0;
        let mut message = DnsMessage {
            id,
            answer: bit(15),
            opcode: (flags >> 11 & 0xf) as u8,
            authoritative: bit(10),
            truncated: bit(9),
            recursion_desired: bit(8),
            recursion_available: bit(7),
            z: (flags >> 4 & 7) as u8,
            rcode: (flags & 0xf) as u8,
            counts,
            questions: Vec::new(),
            records: Vec::new(),
            anomaly: None,
        };
        if reader.body(&mut message).is_none() {
            reader.odd(DnsAnomaly::Cut);
        }
        message.anomaly = reader.anomaly;
        Some(message)
    }

    /// The records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|r| r.section == Section::Answer)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    text: usize,
    anomaly: Option<DnsAnomaly>,
}

impl Reader<'_> {
    fn odd(&mut self, what: DnsAnomaly) {
        self.anomaly.get_or_insert(what);
    }

    fn u8_at(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(self.array(at)?))
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        let value = self.u16_at(self.at)?;
        self.at += 2;
        Some(value)
    }

    fn body(&mut self, message: &mut DnsMessage) -> Option<()> {
        let [questions, answers, authority, additional] = message.counts;
        for _ in 0..questions {
            if message.questions.len() >= QUESTIONS_MAX {
                self.odd(DnsAnomaly::Limit);
                return Some(());
            }
            let name = self.name()?;
            message.questions.push(Question { name, qtype: self.u16()?, qclass: self.u16()? });
        }
        for (section, count) in [(Section::Answer, answers), (Section::Authority, authority), (Section::Additional, additional)] {
            for _ in 0..count {
                if message.records.len() >= RECORDS_MAX || self.text > TEXT_BYTES_MAX {
                    self.odd(DnsAnomaly::Limit);
                    return Some(());
                }
                let record = self.record(section)?;
                message.records.push(record);
            }
        }
        Some(())
    }

    fn record(&mut self, section: Section) -> Option<Record> {
        let name = self.name()?;
        let (rtype, class) = (self.u16()?, self.u16()?);
        let ttl = u32::from_be_bytes(self.array(self.at)?);
        self.at += 4;
        let length = usize::from(self.u16()?);
        let (start, end) = (self.at, self.at.checked_add(length)?);
        if end > self.bytes.len() {
            return None;
        }
        let data = self.data(rtype, start, end).unwrap_or(Data::Other);
        self.at = end;
        Some(Record { section, name, rtype, class, ttl, data })
    }

    /// RDATA from `start` to `end`, which is inside the message.
    fn data(&mut self, rtype: u16, start: usize, end: usize) -> Option<Data> {
        let length = end - start;
        Some(match rtype {
            1 if length == 4 => Data::V4(Ipv4Addr::from(self.array::<4>(start)?)),
            // Zeek reads A6 as if it were AAAA.
            28 | 38 if length == 16 => Data::V6(Ipv6Addr::from(self.array::<16>(start)?)),
            2 | 5 | 12 | 6 => Data::Name(self.name_at(start)?),
            15 => Data::Name(self.name_at(start + 2)?),
            33 => Data::Name(self.name_at(start + 6)?),
            16 | 99 => Data::Texts(self.texts(start, end)),
            32 => {
                // Two bytes of flags, four of address, for each.
                let entries = self.bytes.get(start..end)?.chunks_exact(6);
                Data::NetBios(entries.filter_map(|e| <[u8; 4]>::try_from(e.get(2..)?).ok()).map(Ipv4Addr::from).collect())
            }
            46 => {
                let signer = self.name_at(start + 18)?;
                Data::Signature(self.u16_at(start)?, signer)
            }
            47 => Data::Next(self.name_at(start)?),
            48 if length >= 4 => Data::Key(self.u8_at(start + 3)?),
            43 if length >= 4 => Data::Digest(self.u8_at(start + 2)?, self.u8_at(start + 3)?),
            44 if length >= 2 => Data::Fingerprint(hex::encode(self.bytes.get(start + 2..end)?)),
            29 if length >= 4 => Data::Location(self.u8_at(start + 1)?, self.u8_at(start + 2)?, self.u8_at(start + 3)?),
            _ => Data::Other,
        })
    }

    fn texts(&mut self, start: usize, end: usize) -> Vec<String> {
        let mut out = Vec::new();
        let mut rest = self.bytes.get(start..end).unwrap_or_default();
        while let Some((&length, after)) = rest.split_first() {
            let Some((text, after)) = after.split_at_checked(usize::from(length)) else { break };
            out.push(printable(text));
            rest = after;
        }
        self.text += end - start;
        out
    }

    fn name(&mut self) -> Option<String> {
        let (name, end) = self.read_name(self.at)?;
        self.at = end;
        Some(name)
    }

    fn name_at(&mut self, at: usize) -> Option<String> {
        self.read_name(at).map(|n| n.0)
    }

    /// A name, and where the next thing begins. `None` where the message ends inside it.
    fn read_name(&mut self, start: usize) -> Option<(String, usize)> {
        let mut raw: Vec<u8> = Vec::new();
        let (mut at, mut end, mut jumps, mut earliest) = (start, None, 0, start);
        loop {
            let length = self.u8_at(at)?;
            match length {
                0 => {
                    end.get_or_insert(at + 1);
                    break;
                }
                0xc0.. => {
                    let target = usize::from(self.u16_at(at)? & 0x3fff);
                    end.get_or_insert(at + 2);
                    jumps += 1;
                    // Each pointer leads before everything read so far: no circles.
                    if target >= earliest || jumps > POINTERS_MAX {
                        self.odd(DnsAnomaly::BadName);
                        break;
                    }
                    (at, earliest) = (target, target);
                }
                _ => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    if raw.len() + label.len() + 1 > NAME_BYTES_MAX {
                        // Lengths of 64 to 191 are no labels; on port 137 some write longer ones, which fit here too.
                        self.odd(DnsAnomaly::BadName);
                        if end.is_some() {
                            break;
                        }
                        at += 1 + usize::from(length);
                        continue;
                    }
                    if !raw.is_empty() {
                        raw.push(b'.');
                    }
                    raw.extend_from_slice(label);
                    at += 1 + usize::from(length);
                }
            }
        }
        self.text += raw.len();
        Some((printable(&raw), end?))
    }
}

/// What a record of an answer section is in Zeek's `answers`; `None` where Zeek has no word for it. `port` is the responder's.
pub fn answer_text(record: &Record, port: u16) -> Option<String> {
    let lower = |name: &String| name.to_ascii_lowercase();
    Some(match (&record.data, record.rtype) {
        (Data::V4(ip), _) => ip.to_string(),
        (Data::V6(ip), _) => ip.to_string(),
        // On port 137 type 33 is NBSTAT.
        (_, 33) if port == 137 => return None,
        (Data::Name(name), _) => lower(name),
        (Data::Texts(texts), rtype) => {
            let word = if rtype == 99 { "SPF" } else { "TXT" };
            texts.iter().map(|t| format!("{word} {} {t}", t.len())).collect::<Vec<_>>().join(" ")
        }
        (Data::Signature(covered, signer), _) => {
            format!("RRSIG {covered} {}", if signer.is_empty() { "<Root>".to_owned() } else { lower(signer) })
        }
        (Data::Key(algorithm), _) => format!("DNSKEY {algorithm}"),
        (Data::Digest(algorithm, digest), _) => format!("DS {algorithm} {digest}"),
        (Data::Next(next), _) => format!("NSEC {} {}", lower(&record.name), lower(next)),
        (Data::Fingerprint(hex), _) => format!("SSHFP: {hex}"),
        (Data::Location(size, horizontal, vertical), _) => format!("LOC:  {size} {horizontal} {vertical}"),
        (Data::Other, 50) => "NSEC3".to_owned(),
        (Data::Other, 51) => "NSEC3PARAM".to_owned(),
        (Data::Other, 65534) => "BIND9 signing signal".to_owned(),
        // Types that Zeek reads and does not report here, and data that is not what its type promises.
        (
            Data::Other,
            1 | 2 | 5 | 6 | 11 | 12 | 13 | 15 | 16 | 28 | 29 | 33 | 38 | 41 | 43 | 44 | 46 | 47 | 48 | 64 | 65 | 99 | 250 | 257,
        ) => {
            return None;
        }
        (Data::NetBios(_), _) => return None,
        (Data::Other, other) => format!("<unknown type={other}>"),
    })
}

/// A NetBIOS name from its first-level encoding (RFC 1001 14.1), without the padding and the type; other names as they are.
pub fn netbios_name(name: &str) -> String {
    let encoded = name.as_bytes().get(..32).unwrap_or_default();
    if encoded.len() < 32 || !encoded.iter().all(|b| (b'A'..=b'P').contains(&b.to_ascii_uppercase())) {
        return name.to_owned();
    }
    let nibble = |b: u8| b.to_ascii_uppercase() - b'A';
    let decoded = encoded.chunks_exact(2).take(15).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]));
    // As Zeek: up to the first byte that no name has, blanks included.
    let kept: Vec<u8> = decoded.take_while(|b| b.is_ascii_alphanumeric() || b.is_ascii_punctuation() || *b < 3).collect();
    printable(&kept)
}

#[cfg(test)]
#[path = "dns_message_tests.rs"]
pub(crate) mod tests;
