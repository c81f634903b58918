//! Files that are no captures, and what is said of them.

use super::make::BOTH;
use super::*;
use crate::pcap::reader::OpenError;
use std::io::Read;
use std::path::Path;

fn refusal(bytes: &[u8]) -> String {
    CaptureReader::from_reader("f", Box::new(Cursor::new(bytes.to_vec()))).err().unwrap().to_string()
}

#[test]
fn each_refusal_says_what_the_file_is_and_what_to_do() {
    let old = BOTH[1].pcap(0xa1b2_c3d4, (1, 4), 1);
    let reserved = BOTH[1].pcap(0xa1b2_c3d4, (2, 4), 0x0224_0001);
    let mut erf = Vec::new();
    for _ in 0..2 {
        erf.extend([0, 0, 0, 0, 0, 0, 0, 0x60, 2, 4, 0, 80, 0, 0, 0, 60]);
        erf.extend([7; 64]);
    }
    for (bytes, parts) in [
        (&b""[..], &["f is no capture file: it is empty"][..]),
        (b"snoop\0\0\0\0\0\0\x02\0\0\0\x04", &["Solaris snoop", "editcap -F pcapng"]),
        (&erf, &["Endace ERF", "editcap"]),
        (b"time,source,destination\n1,2,3\n", &["looks like text"]),
        (b"{\"a\": 1}", &["JSON"]),
        (b"PK\x03\x04....", &["a ZIP archive; unpack it first: unzip"]),
        (b"\xfd7zXZ\0...", &["xz -d"]),
        (&[0; 100], &["zero bytes"]),
        (b"\x01\x02\x03", &["no format that is known"]),
        (b"\xd4\xc3\xb2\xa1\x02\0", &["the file ends inside its pcap header"]),
        (&old, &["version 1.4"]),
        (&reserved, &["link type 0x02240001", "reserved bits"]),
        (b"\x1f\x8b\x08\0\0\0", &["gzip stream is cut off"]),
    ] {
        for part in parts {
            assert!(refusal(bytes).contains(part), "{}", refusal(bytes));
        }
    }
    let missing = CaptureReader::open(Path::new("/nowhere/x.pcap")).err().unwrap();
    assert!(matches!(missing, OpenError::Io { .. }) && missing.to_string().contains("/nowhere/x.pcap"));
    assert!(matches!(CaptureReader::open(Path::new("/")).err().unwrap(), OpenError::Io { .. }));
}

/// Gives its bytes, then fails.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(std::io::Error::other("the disk is gone")),
            n => Ok(n),
        }
    }
}

#[test]
fn a_failing_machine_is_an_error_and_no_damage() {
    let o = BOTH[0];
    let plain =
        [o.pcap(0xa1b2_3c4d, (2, 4), 1), o.record([1, 0, 3, 3], &[], b"abc"), o.record([1, 0, 9, 9], &[], b"abc")].concat();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for bytes in [plain, zstd] {
        let mut reader = CaptureReader::from_reader("f", Box::new(Failing(Cursor::new(bytes)))).unwrap();
        assert!(matches!(reader.next(), Ok(Some(Record::Section { section: 0, .. }))));
        assert!(matches!(reader.next(), Ok(Some(Record::Packet { .. }))));
        for _ in 0..2 {
            let error = reader.next().unwrap_err();
            assert!(error.to_string().starts_with("cannot read on in f at byte "), "{error}");
        }
    }
}
