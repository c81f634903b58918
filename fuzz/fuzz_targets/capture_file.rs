//! Any bytes, as a capture file: pcap or pcapng, plain or compressed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use taploop::pcap::reader::CaptureReader;
use taploop::pcap::record::Record;

/// Compression can make much of little; enough is enough.
const RECORDS_MAX: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = CaptureReader::from_reader("fuzz", Box::new(Cursor::new(data.to_vec()))) else { return };
    for _ in 0..RECORDS_MAX {
        let interface = match reader.next().expect("memory can be read") {
            None => return,
            Some(Record::Packet { interface, packet, .. }) => {
                let _ = packet.is_truncated();
                interface
            }
            Some(Record::Statistics { interface, .. }) => interface,
            Some(Record::Damage(damage)) => {
                let _ = damage.to_string();
                continue;
            }
            Some(_) => continue,
        };
        assert!((interface as usize) < reader.interfaces().len(), "a record of an interface that was never described");
    }
});
