//! AV pairs: what a server tells of itself in a CHALLENGE, and a client returns in an NTLMv2 response ([MS-NLMP] 2.2.2.1).

/// Pairs of one list that are read. Windows sends at most 11 ids.
pub const PAIRS_MAX: usize = 64;

/// The pairs of one list. Of an id that comes twice the first counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AvPairs {
    /// MsvAvNbComputerName (1): the server's NetBIOS name.
    pub nb_computer_name: Option<String>,
    /// MsvAvNbDomainName (2): its NetBIOS domain.
    pub nb_domain_name: Option<String>,
    /// MsvAvDnsComputerName (3): its DNS name.
    pub dns_computer_name: Option<String>,
    /// MsvAvDnsDomainName (4): its DNS domain.
    pub dns_domain_name: Option<String>,
    /// MsvAvDnsTreeName (5): its forest.
    pub dns_tree_name: Option<String>,
    /// MsvAvFlags (6): 1 constrained, 2 a MIC is there, 4 the target name is untrusted.
    pub flags: Option<u32>,
    /// MsvAvTimestamp (7): FILETIME.
    pub timestamp: Option<u64>,
    /// MsvAvSingleHost's machine id (8), 32 bytes.
    pub machine_id: Option<[u8; 32]>,
    /// MsvAvTargetName (9): the service's SPN.
    pub target_name: Option<String>,
    /// MsvAvChannelBindings (10): an MD5.
    pub channel_bindings: Option<[u8; 16]>,
    /// MsvAvEOL was there.
    pub ended: bool,
}

impl AvPairs {
    /// Reads a list. Names in it are always UTF-16 ([MS-NLMP] 2.2.2.1).
    pub fn parse(bytes: &[u8]) -> Self {
        let mut pairs = AvPairs::default();
        let mut rest = bytes;
        for _ in 0..PAIRS_MAX {
            let (Some(id), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else { break };
            if id == 0 {
                pairs.ended = true;
                break;
            }
            let Some(value) = rest.get(4..4 + usize::from(length)) else { break };
            match id {
                1 => set(&mut pairs.nb_computer_name, Some(utf16(value))),
                2 => set(&mut pairs.nb_domain_name, Some(utf16(value))),
                3 => set(&mut pairs.dns_computer_name, Some(utf16(value))),
                4 => set(&mut pairs.dns_domain_name, Some(utf16(value))),
                5 => set(&mut pairs.dns_tree_name, Some(utf16(value))),
                6 => set(&mut pairs.flags, u32_at(value, 0)),
                7 => set(&mut pairs.timestamp, u64_at(value, 0)),
                8 => set(&mut pairs.machine_id, array_at(value, 16)),
                9 => set(&mut pairs.target_name, Some(utf16(value))),
                10 => set(&mut pairs.channel_bindings, array_at(value, 0)),
                _ => {}
            }
            rest = rest.get(4 + usize::from(length)..).unwrap_or_default();
        }
        pairs
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

/// A little-endian number at an offset.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian number at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian number at an offset.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// So many bytes at an offset.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// UTF-16 little endian, without a terminating null; lone surrogates become U+FFFD, an odd last byte is dropped.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.trim_end_matches('\0').to_owned()
}
