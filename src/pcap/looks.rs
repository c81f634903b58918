//! What a file that is no capture of ours looks like, so that a refusal helps.

/// What it looks like, and what to do about it.
pub(super) struct Looks {
    pub(super) like: &'static str,
    pub(super) advice: Advice,
}

/// What the reader of the message can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Advice {
    /// `editcap -F pcapng` converts it.
    Convert,
    /// The file has to be unpacked with this command first.
    Unpack(&'static str),
    /// It holds no packets.
    Nothing,
}

const fn convert(like: &'static str) -> Looks {
    Looks { like, advice: Advice::Convert }
}

const fn nothing(like: &'static str) -> Looks {
    Looks { like, advice: Advice::Nothing }
}

const fn unpack(like: &'static str, with: &'static str) -> Looks {
    Looks { like, advice: Advice::Unpack(with) }
}

const MAGICS: &[(&[u8], Looks)] = &[
    (b"snoop\0\0\0", convert("a Solaris snoop capture")),
    (b"btsnoop\0", convert("a Bluetooth HCI snoop (btsnoop) log")),
    (b"RTSS", convert("a Microsoft Network Monitor 1 capture")),
    (b"GMBU", convert("a Microsoft Network Monitor 2 capture")),
    (b"TRSNIFF data    \x1a", convert("a Network General Sniffer capture")),
    (b"XCP\0", convert("a NetXRay or Sniffer capture")),
    (b"iptrace 1.0", convert("an AIX iptrace capture")),
    (b"iptrace 2.0", convert("an AIX iptrace capture")),
    (b"\x7fver", convert("an OmniPeek or EtherPeek capture")),
    (b"\x05VNF", convert("a Visual Networks capture")),
    (b"5View", convert("an InfoVista 5View capture")),
    (b"\x01\x10\x4d\x00\x01\x05", convert("a Novell LANalyzer capture")),
    (b"\xa1\xb2\x34\xcd", convert("a pcap variant that no tool is known to read")),
    (b"\xcd\x34\xb2\xa1", convert("a pcap variant that no tool is known to read")),
    (b"\xa1\x2b\x3c\x4d", convert("a Navtel pcap variant")),
    (b"\x4d\x3c\x2b\xa1", convert("a Navtel pcap variant")),
    (b"\xfd7zXZ\0", unpack("an xz-compressed file", "xz -d")),
    (b"BZh", unpack("a bzip2-compressed file", "bzip2 -d")),
    (b"\x04\x22\x4d\x18", unpack("an lz4-compressed file", "lz4 -d")),
    (b"\x1f\x9d", unpack("a file compressed by compress", "uncompress")),
    (b"\x1f\x8b", unpack("a file compressed twice by gzip", "gzip -d")),
    (b"\x28\xb5\x2f\xfd", unpack("a file compressed twice", "zstd -d")),
    (b"PK\x03\x04", unpack("a ZIP archive", "unzip")),
    (b"7z\xbc\xaf\x27\x1c", unpack("a 7z archive", "7z x")),
    (b"\x7fELF", nothing("an ELF program")),
    (b"MZ", nothing("a Windows program")),
    (b"%PDF", nothing("a PDF document")),
    (b"\xed\xab\xee\xdb", nothing("an RPM package")),
    (b"SQLite format 3\0", nothing("an SQLite database")),
    (b"{", nothing("JSON text")),
    (b"<!DOCTYPE", nothing("an HTML or XML text")),
    (b"<html", nothing("an HTML text")),
    (b"<?xml", nothing("an XML text")),
];

/// Judges by the first bytes, of which there is at least one.
pub(super) fn judge(head: &[u8]) -> Looks {
    if let Some((_, looks)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Looks { ..*looks };
    }
    if head.get(257..262) == Some(b"ustar") {
        unpack("a tar archive", "tar -xf")
    } else if is_erf(head) {
        convert("an Endace ERF capture")
    } else if head.iter().all(|&byte| byte == 0) {
        nothing("a file of zero bytes")
    } else if is_text(head) {
        nothing("text")
    } else {
        nothing("no format that is known")
    }
}

/// ERF has no magic number: two records have to follow each other that are plausible and close in time.
fn is_erf(head: &[u8]) -> bool {
    let seconds = |at: usize| {
        let record = head.get(at..at + 16)?;
        let kind = record[8] & 0x7f;
        let length = usize::from(u16::from_be_bytes([record[10], record[11]]));
        let seconds = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
        ((1..=48).contains(&kind) && length >= 16).then_some((seconds, length))
    };
    let Some((first, length)) = seconds(0) else { return false };
    seconds(length).is_some_and(|(second, _)| first.abs_diff(second) < 86_400)
}

fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut in two at the end of what is looked at.
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b'))
}
