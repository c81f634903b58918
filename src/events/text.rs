//! Bytes of the wire as text in a row.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// UTF-8 as it is; otherwise ASCII as it is and every other byte as `\xNN`, as Zeek's JSON has it. Trailing nulls are dropped.
pub fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for &b in bytes {
        if b.is_ascii() {
            out.push(char::from(b));
        } else {
            out.push_str("\\x");
            out.extend([b >> 4, b & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_and_escapes_the_rest() {
        assert_eq!(printable("Büro".as_bytes()), "Büro");
        assert_eq!(printable(b"B\xfcro\0\0"), "B\\xfcro");
        assert_eq!(printable(b"\0"), "");
    }
}
