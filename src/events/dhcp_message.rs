//! A DHCPv4 message (RFC 2131, 2132, 3396): total; options in the overloaded fields included.

use super::text::printable;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What is odd about a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DhcpAnomaly {
    /// It ends inside an option, or without the end option.
    Cut,
}

/// A message that has the DHCP message type option; BOOTP without it is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhcpMessage {
    /// op: 1 from a client, 2 from a server.
    pub op: u8,
    /// xid.
    pub xid: u32,
    /// ciaddr.
    pub ciaddr: Ipv4Addr,
    /// yiaddr: the client's address, as the server says.
    pub yiaddr: Ipv4Addr,
    /// siaddr.
    pub siaddr: Ipv4Addr,
    /// giaddr: the relay.
    pub giaddr: Ipv4Addr,
    /// htype and the hlen bytes of chaddr.
    pub hardware: (u8, Vec<u8>),
    /// Option 53.
    pub kind: u8,
    /// The options: of a code that comes more than once the parts joined (RFC 3396). At most 254 codes, together as long as the message.
    pub options: BTreeMap<u8, Vec<u8>>,
    /// What is odd.
    pub anomaly: Option<DhcpAnomaly>,
}

/// Bytes before the options, without the magic cookie.
const FIXED_BYTES: usize = 236;
/// RFC 2131 3: what options begin with.
const MAGIC: [u8; 4] = [99, 130, 83, 99];

impl DhcpMessage {
    /// Reads a message; `None` where it is no DHCP: too short, no cookie, no message type.
    pub fn parse(bytes: &[u8]) -> Option<DhcpMessage> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_BYTES)?;
        let options = rest.strip_prefix(&MAGIC)?;
        let op = *fixed.first()?;
        if !(1..=2).contains(&op) {
            return None;
        }
        let four = |at: usize| -> Option<[u8; 4]> { fixed.get(at..at + 4)?.try_into().ok() };
        let hardware_length = usize::from(*fixed.get(2)?).min(16);
        let mut read = Options { all: BTreeMap::new(), anomaly: None };
        read.add(options, true);
        // Option 52: 1 the file field, 2 the sname field, 3 both hold options too (RFC 2132 9.3).
        let overload = read.all.get(&52).and_then(|o| o.first()).copied().unwrap_or(0);
        if overload & 1 != 0 {
            read.add(fixed.get(108..236)?, false);
        }
        if overload & 2 != 0 {
            read.add(fixed.get(44..108)?, false);
        }
        Some(DhcpMessage {
            op,
            xid: u32::from_be_bytes(four(4)?),
            ciaddr: four(12)?.into(),
            yiaddr: four(16)?.into(),
            siaddr: four(20)?.into(),
            giaddr: four(24)?.into(),
            hardware: (*fixed.get(1)?, fixed.get(28..28 + hardware_length)?.to_vec()),
            kind: *read.all.get(&53)?.first()?,
            options: read.all,
            anomaly: read.anomaly,
        })
    }

    /// An option's bytes.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.get(&code).map(Vec::as_slice)
    }

    /// An option as text; empty ones are `None`.
    pub fn text(&self, code: u8) -> Option<String> {
        self.option(code).map(printable).filter(|text| !text.is_empty())
    }

    /// An option as an address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)?).ok()?))
    }

    /// Seconds of the lease (option 51).
    pub fn lease_s(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.option(51)?.try_into().ok()?))
    }

    /// The client's full name (option 81, RFC 4702): after flags and two codes, in DNS labels where the E bit says so, else in ASCII.
    pub fn client_fqdn(&self) -> Option<String> {
        let (head, name) = self.option(81)?.split_at_checked(3)?;
        let encoded = head.first()? & 0x04 != 0;
        let text = if encoded { labels(name) } else { printable(name) };
        Some(text).filter(|t| !t.is_empty())
    }

    /// The client's hardware address: of Ethernet in the client identifier (option 61), as it stands there.
    pub fn client_id_mac(&self) -> Option<String> {
        let (&kind, address) = self.option(61)?.split_first()?;
        (kind == 1 && !address.is_empty()).then(|| mac(address))
    }

    /// chaddr.
    pub fn chaddr_mac(&self) -> Option<String> {
        let (_, address) = &self.hardware;
        (!address.is_empty()).then(|| mac(address))
    }
}

struct Options {
    all: BTreeMap<u8, Vec<u8>>,
    anomaly: Option<DhcpAnomaly>,
}

impl Options {
    fn add(&mut self, bytes: &[u8], must_end: bool) {
        let mut rest = bytes;
        while let Some((&code, after)) = rest.split_first() {
            match code {
                0 => rest = after,
                255 => return,
                _ => {
                    let value = after.split_first().and_then(|(&length, v)| v.split_at_checked(usize::from(length)));
                    let Some((value, next)) = value else {
                        self.anomaly = Some(DhcpAnomaly::Cut);
                        return;
                    };
                    self.all.entry(code).or_default().extend_from_slice(value);
                    rest = next;
                }
            }
        }
        if must_end {
            self.anomaly = Some(DhcpAnomaly::Cut);
        }
    }
}

/// Labels without compression; what is no label ends them.
fn labels(bytes: &[u8]) -> String {
    let (mut rest, mut parts) = (bytes, Vec::new());
    while let Some((&length, after)) = rest.split_first() {
        let Some((label, after)) = after.split_at_checked(usize::from(length)).filter(|_| (1..64).contains(&length)) else {
            break;
        };
        parts.push(printable(label));
        rest = after;
    }
    parts.join(".")
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

/// The name of a message type as Zeek gives it.
pub fn kind_name(kind: u8) -> Cow<'static, str> {
    const NAMES: [&str; 18] = [
        "DISCOVER",
        "OFFER",
        "REQUEST",
        "DECLINE",
        "ACK",
        "NAK",
        "RELEASE",
        "INFORM",
        "FORCERENEW",
        "LEASEQUERY",
        "LEASEUNASSIGNED",
        "LEASEUNKNOWN",
        "LEASEACTIVE",
        "BULKLEASEQUERY",
        "LEASEQUERYDONE",
        "ACTIVELEASEQUERY",
        "LEASEQUERYSTATUS",
        "TLS",
    ];
    let place = usize::from(kind).checked_sub(1).and_then(|i| NAMES.get(i));
    place.map_or_else(|| Cow::Owned(format!("unknown-message-type-{kind}")), |&name| Cow::Borrowed(name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message with these options; `yiaddr` ends in this byte (0: none).
    pub(crate) fn message(op: u8, xid: u32, your: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![op, 1, 6, 0];
        out.extend(xid.to_be_bytes());
        out.extend([0; 8]);
        out.extend(if your == 0 { [0; 4] } else { [192, 0, 2, your] });
        out.extend([0; 8]);
        out.extend([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        out.resize(FIXED_BYTES, 0);
        out.extend(MAGIC);
        for (code, value) in options {
            out.extend([*code, value.len() as u8]);
            out.extend(*value);
        }
        out.push(255);
        out
    }

    #[test]
    fn reads_options() {
        let fqdn = [&[4u8, 0, 0][..], b"\x02ws\x07example\0"].concat();
        let options: &[(u8, &[u8])] =
            &[(53, &[3]), (12, b"ws"), (81, &fqdn), (61, &[1, 2, 0, 0, 0, 0, 1]), (50, &[192, 0, 2, 7]), (12, b"-1")];
        let read = DhcpMessage::parse(&message(1, 0x1234, 0, options)).unwrap();
        assert_eq!((read.kind, read.xid, read.anomaly), (3, 0x1234, None));
        assert_eq!(read.text(12).as_deref(), Some("ws-1"), "RFC 3396: joined");
        assert_eq!(read.client_fqdn().as_deref(), Some("ws.example"));
        assert_eq!(
            (read.client_id_mac().as_deref(), read.chaddr_mac().as_deref()),
            (Some("02:00:00:00:00:01"), Some("52:54:00:12:34:56"))
        );
        assert_eq!(read.address(50), Some(Ipv4Addr::new(192, 0, 2, 7)));
    }

    #[test]
    fn reads_overloaded_fields() {
        let mut bytes = message(2, 1, 9, &[(53, &[5]), (52, &[3])]);
        bytes[108..114].copy_from_slice(&[51, 4, 0, 0, 0x0e, 0x10]);
        bytes[114] = 255;
        bytes[44..48].copy_from_slice(&[15, 2, b'e', b'x']);
        let read = DhcpMessage::parse(&bytes).unwrap();
        assert_eq!((read.lease_s(), read.text(15).as_deref()), (Some(3600), Some("ex")));
    }

    #[test]
    fn every_shorter_prefix() {
        let bytes = message(1, 1, 0, &[(53, &[1]), (12, b"name")]);
        for end in 0..bytes.len() {
            let read = DhcpMessage::parse(&bytes[..end]);
            assert!(read.is_none_or(|m| m.anomaly == Some(DhcpAnomaly::Cut)), "{end}");
        }
        assert_eq!(kind_name(0), "unknown-message-type-0");
        assert_eq!((kind_name(18), kind_name(1)), ("TLS".into(), "DISCOVER".into()));
    }

    proptest! {
        #[test]
        fn any_options(noise in proptest::collection::vec(any::<u8>(), 0..300), fixed in proptest::collection::vec(any::<u8>(), 236)) {
            let mut bytes = fixed;
            bytes[0] = 1;
            bytes.extend(MAGIC);
            bytes.extend([53, 1, 1, 52, 1, 3]);
            bytes.extend(noise);
            let read = DhcpMessage::parse(&bytes).unwrap();
            let _ = (read.client_fqdn(), read.client_id_mac(), read.chaddr_mac(), read.lease_s());
            prop_assert!(read.options.values().map(Vec::len).sum::<usize>() <= bytes.len());
        }
    }
}
