//! A bounded reader of DER (X.690): definite lengths, one-byte tags. It goes down only where its caller does, so its depth is the caller's.

/// One element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// The identifier octet: class, constructed bit and number (X.690 8.1.2). Numbers over 30 do not occur in what is read here.
    pub tag: u8,
    /// The content: as much of it as is there.
    pub content: &'a [u8],
    /// Identifier, length and content.
    pub whole: &'a [u8],
    /// The length promises more bytes than there are.
    pub cut: bool,
}

impl<'a> Element<'a> {
    /// A reader of its content.
    pub fn inside(&self) -> Der<'a> {
        Der::new(self.content)
    }

    /// Its content as the one element in it: what an explicit tag holds.
    pub fn inner(&self) -> Option<Element<'a>> {
        self.inside().next()
    }

    /// Its content as an INTEGER or ENUMERATED of at most 8 bytes (longer ones: `None`).
    pub fn integer(&self) -> Option<i64> {
        let bytes = self.content;
        if bytes.is_empty() || bytes.len() > 8 || self.cut {
            return None;
        }
        let start = if bytes.first().is_some_and(|b| b & 0x80 != 0) { -1i64 } else { 0 };
        Some(bytes.iter().fold(start, |value, &b| (value << 8) | i64::from(b)))
    }

    /// Its content as text: UTF-8 where it is that (KerberosString is IA5, but Windows sends UTF-8), else byte for character.
    pub fn text(&self) -> String {
        match std::str::from_utf8(self.content) {
            Ok(text) => text.to_owned(),
            Err(_) => self.content.iter().map(|&b| char::from(b)).collect(),
        }
    }

    /// Its content as the first 32 bits of a BIT STRING, bit 0 the highest (RFC 4120 5.2.8).
    pub fn bits(&self) -> Option<u32> {
        let (_, bits) = self.content.split_first()?;
        Some((0..4).fold(0u32, |value, i| (value << 8) | u32::from(bits.get(i).copied().unwrap_or(0))))
    }

    /// Its content as an OBJECT IDENTIFIER in dots; `None` where it is none, or has more than [`OID_ARCS_MAX`] arcs.
    pub fn oid(&self) -> Option<String> {
        let mut arcs: Vec<u64> = Vec::new();
        let mut value = 0u64;
        for &b in self.content {
            if value >> 56 != 0 || arcs.len() >= OID_ARCS_MAX {
                return None;
            }
            value = (value << 7) | u64::from(b & 0x7f);
            if b & 0x80 == 0 {
                if arcs.is_empty() {
                    let first = (value / 40).min(2);
                    arcs.push(first);
                    value -= first * 40;
                }
                arcs.push(value);
                value = 0;
            }
        }
        if arcs.is_empty() || self.content.last().is_some_and(|b| b & 0x80 != 0) {
            return None;
        }
        Some(arcs.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
    }
}

/// Arcs of the longest object identifier that is printed. The mechanisms of SPNEGO have at most 11.
pub const OID_ARCS_MAX: usize = 32;

/// Reads elements one after another.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Der { rest: bytes }
    }

    /// The next element if it has this tag; else nothing is taken.
    pub fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let element = ahead.next().filter(|e| e.tag == tag)?;
        *self = ahead;
        Some(element)
    }

    /// The first of the remaining elements with this tag; the reader stays where it is.
    pub fn field(&self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        ahead.find(|e| e.tag == tag)
    }

    /// What was not read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Element<'a>;

    /// The next element; `None` at the end, or where no element can be read (then nothing after it is either).
    fn next(&mut self) -> Option<Element<'a>> {
        let bytes = std::mem::take(&mut self.rest);
        let (&tag, &first) = (bytes.first()?, bytes.get(1)?);
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, head) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            // Indefinite lengths (0x80) are not DER; more than 4 length bytes name no message.
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let digits = bytes.get(2..2 + count)?;
            (digits.iter().fold(0usize, |n, &b| (n << 8) | usize::from(b)), 2 + count)
        };
        let after = bytes.get(head..)?;
        let cut = length > after.len();
        let (content, rest) = after.split_at(length.min(after.len()));
        self.rest = rest;
        let whole = bytes.get(..head + content.len()).unwrap_or(bytes);
        Some(Element { tag, content, whole, cut })
    }
}

#[cfg(test)]
pub(crate) mod build {
    //! Writes DER for tests.

    /// An element of this tag and content.
    pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match content.len() {
            n if n < 0x80 => out.push(n as u8),
            n if n < 0x100 => out.extend([0x81, n as u8]),
            n => out.extend([0x82, (n >> 8) as u8, n as u8]),
        }
        out.extend_from_slice(content);
        out
    }

    /// An element that holds these, one after another.
    pub(crate) fn seq(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        tlv(tag, &parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_x690_shows() {
        // X.690 8.19.5: {2 100 3} is 06 03 81 34 03.
        let oid = Der::new(&[6, 3, 0x81, 0x34, 3]).next().unwrap();
        assert_eq!(oid.oid().as_deref(), Some("2.100.3"));
        let oid = Der::new(&hex::decode("060a2b06010401823702020a").unwrap()).next().and_then(|e| e.oid());
        assert_eq!(oid.as_deref(), Some("1.3.6.1.4.1.311.2.2.10"));
        assert_eq!(Der::new(&[2, 1, 0xff]).next().unwrap().integer(), Some(-1));
        assert_eq!(Der::new(&[2, 2, 0, 0x80]).next().unwrap().integer(), Some(128));
        assert_eq!(Der::new(&[3, 5, 0, 0x40, 0x81, 0, 0x10]).next().unwrap().bits(), Some(0x4081_0010));
    }

    #[test]
    fn a_cut_element_says_so() {
        let mut der = Der::new(&[0x30, 5, 1, 2]);
        let element = der.next().unwrap();
        assert!(element.cut && element.content == [1, 2]);
        assert!(der.next().is_none());
    }

    #[test]
    fn indefinite_and_absurd_lengths_end_the_reading() {
        for bytes in [&[0x30u8, 0x80, 0, 0][..], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30], &[0x1f, 1, 1], &[0x30, 0x82, 1]] {
            assert!(Der::new(bytes).next().is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut all = 0;
            for element in Der::new(&bytes) {
                all += element.whole.len();
                let _ = (element.integer(), element.text(), element.bits(), element.oid(), element.inner());
            }
            prop_assert!(all <= bytes.len());
        }
    }
}
