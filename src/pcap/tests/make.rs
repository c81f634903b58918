//! Capture files in either byte order, made of plain values.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Little,
    Big,
}

pub(super) const BOTH: [Order; 2] = [Order::Little, Order::Big];

impl Order {
    pub(super) fn b16(self, v: u16) -> [u8; 2] {
        if self == Order::Little { v.to_le_bytes() } else { v.to_be_bytes() }
    }

    pub(super) fn b32(self, v: u32) -> [u8; 4] {
        if self == Order::Little { v.to_le_bytes() } else { v.to_be_bytes() }
    }

    pub(super) fn b64(self, v: u64) -> [u8; 8] {
        if self == Order::Little { v.to_le_bytes() } else { v.to_be_bytes() }
    }

    pub(super) fn words(self, all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|&v| self.b32(v)).collect()
    }

    /// A pcap header.
    pub(super) fn pcap(self, magic: u32, version: (u16, u16), link: u32) -> Vec<u8> {
        let mut out = self.b32(magic).to_vec();
        out.extend(self.b16(version.0));
        out.extend(self.b16(version.1));
        out.extend(self.words(&[0, 0, 65_535, link]));
        out
    }

    /// A pcap record with `extra` bytes after the usual 16 of its header.
    pub(super) fn record(self, head: [u32; 4], extra: &[u8], data: &[u8]) -> Vec<u8> {
        [&self.words(&head), extra, data].concat()
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut out = self.b16(code).to_vec();
        out.extend(self.b16(value.len() as u16));
        out.extend(value);
        pad(&mut out);
        out
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        pad(&mut body);
        let total = body.len() as u32 + 12;
        [&self.words(&[kind, total]), &body, &self.b32(total)[..]].concat()
    }

    pub(super) fn section(self) -> Vec<u8> {
        let mut body = self.b32(0x1a2b_3c4d).to_vec();
        body.extend(self.b16(1));
        body.extend(self.b16(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    pub(super) fn interface(self, link: u16, snap: u32, options: &[u8]) -> Vec<u8> {
        let mut body = self.b16(link).to_vec();
        body.extend([0; 2]);
        body.extend(self.b32(snap));
        body.extend(options);
        self.block(1, &body)
    }

    pub(super) fn enhanced(self, interface: u32, time: u64, original: u32, data: &[u8], options: &[u8]) -> Vec<u8> {
        let mut body = self.words(&[interface, (time >> 32) as u32, time as u32, data.len() as u32, original]);
        body.extend(data);
        pad(&mut body);
        body.extend(options);
        self.block(6, &body)
    }

    pub(super) fn obsolete(self, interface: u16, drops: u16, time: u64, data: &[u8], options: &[u8]) -> Vec<u8> {
        let mut body = self.b16(interface).to_vec();
        body.extend(self.b16(drops));
        body.extend(self.words(&[(time >> 32) as u32, time as u32, data.len() as u32, data.len() as u32]));
        body.extend(data);
        pad(&mut body);
        body.extend(options);
        self.block(2, &body)
    }

    pub(super) fn simple(self, original: u32, data: &[u8]) -> Vec<u8> {
        self.block(3, &[&self.b32(original), data].concat())
    }

    pub(super) fn statistics(self, interface: u32, time: u64, options: &[u8]) -> Vec<u8> {
        let mut body = self.words(&[interface, (time >> 32) as u32, time as u32]);
        body.extend(options);
        self.block(5, &body)
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize((out.len() + 3) & !3, 0);
}

pub(super) const END: [u8; 4] = [0; 4];

/// A pcapng file with two sections of different byte orders and every block type that is known.
pub(super) fn everything(order: Order) -> Vec<u8> {
    let other = if order == Order::Little { Order::Big } else { Order::Little };
    let mut out = Vec::new();
    for (o, section) in [(order, 0_u32), (other, 1)] {
        out.extend(o.section());
        out.extend(o.interface(1, 0, &[o.option(2, b"eth0"), o.option(9, &[9]), END.to_vec()].concat()));
        out.extend(o.enhanced(0, 5_000_000_001, 90, b"abcde", &[o.option(2, &o.b32(1)), END.to_vec()].concat()));
        out.extend(o.interface(276, 100, &[]));
        out.extend(o.simple(7, b"simple!"));
        out.extend(o.obsolete(1, 3, 1_000_001, b"old", &o.option(1, b"note")));
        out.extend(o.block(0xbad, &o.b32(42)));
        out.extend(o.block(0x7777, &[1; 40]));
        let record = |kind: u16, value: &[u8]| o.option(kind, value);
        out.extend(o.block(4, &[record(1, b"\x0a\0\0\x01host\0"), END.to_vec(), o.option(2, b"dns"), END.to_vec()].concat()));
        out.extend(o.block(10, &[o.words(&[0x544c_534b, 6]), b"secret\0\0".to_vec()].concat()));
        out.extend(o.statistics(0, 7_000_000_000, &[o.option(4, &o.b64(9)), o.option(5, &o.b64(2))].concat()));
        out.extend(o.enhanced(1, u64::from(section) + 1, 3, b"xyz", &[]));
    }
    out
}
