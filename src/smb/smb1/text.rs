//! Strings of SMB1: UTF-16 at even places, or the OEM character set ([MS-CIFS] 2.2.1.1).

/// Code page 437 from 0x80 on. The negotiation does not say which OEM code page is used; this is that of DOS.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// One character of the OEM set.
fn oem(byte: u8) -> char {
    match byte.checked_sub(0x80) {
        None => char::from(byte),
        Some(high) => CP437.chars().nth(usize::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// UTF-16LE up to a NUL or the end; what is no text becomes U+FFFD. A last odd byte is ignored.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|p| p.iter().rev().fold(0u16, |v, b| v << 8 | u16::from(*b)));
    char::decode_utf16(units.take_while(|u| *u != 0)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A string of known length in either form, up to a NUL.
pub(super) fn text(bytes: &[u8], unicode: bool) -> String {
    if unicode { utf16(bytes) } else { bytes.iter().take_while(|b| **b != 0).map(|b| oem(*b)).collect() }
}

/// Reads the strings of one area of a message, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Strings<'a> {
    message: &'a [u8],
    next: usize,
    end: usize,
    unicode: bool,
}

impl<'a> Strings<'a> {
    /// From the byte `start` up to `end` of a message. Places count from the first byte of `message`: UTF-16 begins at even ones.
    pub(super) fn new(message: &'a [u8], start: usize, end: usize, unicode: bool) -> Self {
        let end = end.min(message.len());
        Strings { message, next: start.min(end), end, unicode }
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.next = self.next.saturating_add(bytes).min(self.end);
    }

    /// Passes over one byte if it has this value: the buffer format before a string ([MS-CIFS] 2.2.2.5).
    pub(super) fn skip_format(&mut self, value: u8) {
        if self.rest().first() == Some(&value) {
            self.skip(1);
        }
    }

    /// Passes over the byte that makes the place of UTF-16 even.
    pub(super) fn align(&mut self) {
        if self.unicode && self.next % 2 == 1 {
            self.skip(1);
        }
    }

    /// The bytes that were not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.message.get(self.next..self.end).unwrap_or_default()
    }

    /// The next string with its NUL, in the message's form. One without a NUL goes to the end.
    pub(super) fn next(&mut self) -> String {
        if !self.unicode {
            return self.next_oem();
        }
        self.align();
        let rest = self.rest();
        let units = rest.chunks_exact(2).position(|p| p == [0, 0]);
        let length = units.map_or(rest.len(), |u| u * 2);
        self.skip(length.saturating_add(2));
        utf16(rest.get(..length).unwrap_or_default())
    }

    /// The next string with its NUL, in the OEM set whatever the message's form is.
    pub(super) fn next_oem(&mut self) -> String {
        let rest = self.rest();
        let length = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
        self.skip(length.saturating_add(1));
        text(rest.get(..length).unwrap_or_default(), false)
    }

    /// A string whose length in bytes is told; a NUL ends it earlier.
    pub(super) fn take(&mut self, bytes: usize) -> String {
        self.align();
        let rest = self.rest();
        let taken = rest.get(..bytes.min(rest.len())).unwrap_or_default();
        self.skip(taken.len());
        text(taken, self.unicode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_page_has_128_characters() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(text(b"caf\x82\0x", false), "café");
        assert_eq!(oem(0xE1), 'ß');
    }

    #[test]
    fn utf16_begins_at_even_places() {
        let message = [0xAA, 0x00, b'a', 0, b'b', 0, 0, 0, b'c', 0];
        let mut s = Strings::new(&message, 1, message.len(), true);
        assert_eq!(s.next(), "ab");
        assert_eq!(s.next(), "c");
        assert_eq!(s.next(), "");
    }

    #[test]
    fn oem_strings_and_formats() {
        let message = b"\x04one\0\x04two";
        let mut s = Strings::new(message, 0, 100, false);
        s.skip_format(4);
        assert_eq!(s.next(), "one");
        s.skip_format(4);
        assert_eq!(s.next(), "two");
        assert!(s.rest().is_empty());
    }

    #[test]
    fn a_told_length_is_not_believed_beyond_the_end() {
        let message = [b'a', 0, b'b', 0, 0, 0, b'x', 0];
        assert_eq!(Strings::new(&message, 0, 8, true).take(usize::MAX), "ab");
        assert_eq!(Strings::new(&message, 50, 80, true).take(7), "");
    }

    #[test]
    fn broken_surrogates_are_replaced() {
        assert_eq!(utf16(&[0x00, 0xD8, b'a', 0, 0x3D, 0xD8, 0x00, 0xDE, 7]), "\u{FFFD}a😀");
    }
}
