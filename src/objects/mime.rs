//! What a content is, by its first bytes.

/// Bytes from the beginning that are looked at. Default 8 KiB: ZIP-based office files show themselves within their first entries.
pub const HEAD_BYTES: usize = 8 << 10;

/// Plain text.
const TEXT: (&str, &str) = ("text/plain", "txt");
/// Compound files: old office documents, installers, thumbnails ([MS-CFB] 2.2). Which of them it is stands far behind the first bytes.
const OLE: ([u8; 8], (&str, &str)) = ([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], ("application/x-ole-storage", ""));
/// Anything else.
const BINARY: (&str, &str) = ("application/octet-stream", "bin");

/// The media type and the usual file name extension of a content that begins with `head`.
///
/// By the signatures of the `infer` crate; else text where all of it is printable UTF-8 or marked UTF-16; else `application/octet-stream`.
/// Of nothing: `application/x-empty`, as `file` says.
pub fn by_content(head: &[u8]) -> (&'static str, &'static str) {
    if head.is_empty() {
        return ("application/x-empty", "");
    }
    if let Some(kind) = infer::get(head) {
        return (kind.mime_type(), kind.extension());
    }
    if head.starts_with(&OLE.0) {
        return OLE.1;
    }
    if is_text(head) { TEXT } else { BINARY }
}

/// Of a content whose first bytes are not known.
pub(super) fn unknown() -> (&'static str, &'static str) {
    BINARY
}

fn is_text(head: &[u8]) -> bool {
    if let Some(utf16) = head.strip_prefix(&[0xFF, 0xFE]) {
        return printable_units(utf16, u16::from_le_bytes);
    }
    if let Some(utf16) = head.strip_prefix(&[0xFE, 0xFF]) {
        return printable_units(utf16, u16::from_be_bytes);
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut by the end of what is looked at.
        Err(e) if e.error_len().is_none() && head.len() >= HEAD_BYTES => {
            std::str::from_utf8(head.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(printable)
}

fn printable_units(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let (pairs, _) = bytes.as_chunks::<2>();
    !pairs.is_empty() && char::decode_utf16(pairs.iter().map(|p| unit(*p))).all(|c| c.is_ok_and(printable))
}

fn printable(c: char) -> bool {
    !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_say_what_they_are() {
        assert_eq!(by_content(b"MZ\x90\0\x03"), ("application/vnd.microsoft.portable-executable", "exe"));
        assert_eq!(by_content(b"%PDF-1.7\n").0, "application/pdf");
        assert_eq!(by_content(b"\x89PNG\r\n\x1a\n"), ("image/png", "png"));
        assert_eq!(by_content("Grüße\r\n".as_bytes()), TEXT);
        assert_eq!(by_content(b"\xff\xfeh\0i\0\r\0\n\0"), TEXT);
        assert_eq!(by_content(b"\xfe\xff\0h\0i"), TEXT);
        assert_eq!(by_content(b"\xff\xfe\0\xd8"), BINARY, "half a surrogate pair");
        assert_eq!(by_content(b"text\0"), BINARY);
        assert_eq!(by_content(b"\xfftext"), BINARY);
        assert_eq!(by_content(b""), ("application/x-empty", ""));
        let mut cut = vec![b'a'; HEAD_BYTES - 1];
        cut.push(0xC3);
        assert_eq!(by_content(&cut), TEXT, "a character cut by the end of the head");
    }
}
