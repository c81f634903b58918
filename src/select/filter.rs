//! A filter in pcap-filter syntax: compiled by libpcap for one link type, judged by libpcap's own interpreter.
//!
//! It means what `tcpdump -r FILE FILTER` means by it. libpcap compiles for a capture file, not for a link type alone: it refuses
//! `inbound` there, for example, and takes VLAN tags from the bytes. So it is shown a capture file, of a header only, in the byte
//! order of the files that Taploop writes (which decides how the family of BSD loopback is read).

use super::filter_names::{FilterTextError, check};
use super::filter_words::{Kind, Word};
use crate::packet::LinkType;
use pcap::{BpfInstruction, BpfProgram, Capture, Offline};
use std::ffi::{c_uchar, c_uint};
use std::io::{self, Write as _};
use std::os::fd::IntoRawFd as _;

/// Filters are optimized up to so many instructions. libpcap's optimizer takes time with their cube: 0.2 s here, a minute at ten
/// times as many. What is not optimized means the same.
pub const FILTER_OPTIMIZED_INSTRUCTIONS_MAX: usize = 3000;

/// A compiled filter.
pub struct Filter {
    program: BpfProgram,
}

/// Why a filter could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is no filter, whatever the link type.
    #[error(transparent)]
    Text(#[from] FilterTextError),
    /// libpcap refuses it for this link type.
    #[error(transparent)]
    Refused(#[from] FilterRefused),
    /// libpcap could not be asked.
    #[error("cannot open a handle of libpcap")]
    Machine(#[source] io::Error),
}

/// A filter that libpcap does not compile for a link type: nothing of this type matches it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("libpcap refuses the filter {filter:?} for link type {link_type}: {reason}")]
pub struct FilterRefused {
    /// The filter.
    pub filter: String,
    /// The link type.
    pub link_type: LinkType,
    /// What libpcap says.
    pub reason: String,
}

/// Link types that between them have most terms of the language: Ethernet, 802.11, cooked, raw, SunATM, MTP2, pflog, PPP.
const TRIED: [u16; 8] = [1, 105, 113, 101, 123, 140, 117, 9];

/// Refuses what no link type will compile, before it is known which ones are asked for.
pub fn check_filter(filter: &str) -> Result<(), FilterError> {
    let mut first = None;
    for link_type in TRIED {
        match Filter::compile(filter, LinkType(link_type)) {
            Ok(_) => return Ok(()),
            Err(FilterError::Refused(refused)) => first = first.or(Some(refused.reason)),
            Err(other) => return Err(other),
        }
    }
    Err(FilterTextError::Refused(first.unwrap_or_default()).into())
}

impl Filter {
    /// Compiles `filter` for packets of `link_type`, without looking up any name ([`FilterTextError::Name`]).
    pub fn compile(filter: &str, link_type: LinkType) -> Result<Self, FilterError> {
        let words = check(filter)?;
        // Some link types cannot be filtered at all; Ethernet can.
        let ethernet = open(LinkType::ETHERNET).map_err(FilterError::Machine)?;
        if let Some(word) = words.iter().find(|w| !is_known(&ethernet, w)) {
            return Err(FilterTextError::Keyword(word.text.to_owned()).into());
        }
        let handle = open(link_type).map_err(FilterError::Machine)?;
        let refused = |e: pcap::Error| FilterRefused { filter: filter.to_owned(), link_type, reason: reason(e) };
        let plain = handle.compile(filter, false).map_err(refused)?;
        if plain.get_instructions().len() > FILTER_OPTIMIZED_INSTRUCTIONS_MAX {
            return Ok(Filter { program: plain });
        }
        // The optimizer refuses what can never match (`ip and ip6`), and with it tcpdump does.
        Ok(Filter { program: handle.compile(filter, true).map_err(refused)? })
    }

    /// Whether the filter matches a packet with these captured bytes and this length on the wire.
    pub fn matches(&self, data: &[u8], original_length: u32) -> bool {
        let captured = c_uint::try_from(data.len()).unwrap_or(c_uint::MAX);
        // SAFETY: the instructions come from pcap_compile, which ends every path in a return, and live as long as `self`;
        // bpf_filter only reads them and at most `captured` bytes of `data`, checking each load, and keeps no pointer.
        unsafe { bpf_filter(self.program.get_instructions().as_ptr(), data.as_ptr(), original_length, captured) != 0 }
    }
}

// The pcap crate judges with the captured length in both places, which is wrong for `len`, `less` and `greater` on packets that
// were cut by a snap length.
unsafe extern "C" {
    /// libpcap's interpreter (`pcap/bpf.h`): 0 where the filter does not match.
    fn bpf_filter(program: *const BpfInstruction, packet: *const c_uchar, wire_length: c_uint, captured_length: c_uint)
    -> c_uint;
}

/// Whether the installed libpcap has this keyword. One that it does not have it would take for a name.
fn is_known(ethernet: &Capture<Offline>, word: &Word<'_>) -> bool {
    match word.kind {
        // In the place of a service, a keyword is a syntax error, and a name is looked up in the system's list of services.
        Kind::Keyword => {
            ethernet.compile(&format!("port {}", word.text), false).is_err_and(|e| reason(e).contains("syntax error"))
        }
        // A named number is a port there.
        Kind::Constant => ethernet.compile(&format!("port {}", word.text), false).is_ok(),
        _ => true,
    }
}

fn reason(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    }
}

/// A handle on a capture file of this link type that holds no packets.
fn open(link_type: LinkType) -> io::Result<Capture<Offline>> {
    let mut header = Vec::with_capacity(24);
    header.extend_from_slice(&0xa1b2_3c4du32.to_le_bytes());
    header.extend_from_slice(&2u16.to_le_bytes());
    header.extend_from_slice(&4u16.to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&262_144u32.to_le_bytes());
    header.extend_from_slice(&u32::from(link_type.0).to_le_bytes());
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&header)?; // fits in any pipe
    drop(writer);
    // SAFETY: the descriptor was just released by its only owner, and the handle becomes the next.
    unsafe { Capture::from_raw_fd(reader.into_raw_fd()) }.map_err(|e| io::Error::other(reason(e)))
}
