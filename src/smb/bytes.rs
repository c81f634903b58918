//! Little-endian numbers and strings at offsets that foreign bytes give: what is not there is `None`.

/// The byte at an offset.
pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// The 16 bits at an offset.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// The 32 bits at an offset.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// The 64 bits at an offset.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// So many bytes at an offset.
pub(super) fn part(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// UTF-16, little-endian, what is no character replaced, up to a NUL.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).take_while(|u| *u != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A name as a client gives it: relative to the share, without the leading backslash.
pub(super) fn relative(name: &str) -> &str {
    name.trim_start_matches(['\\', '/'])
}

/// Name and alternate data stream of a path: `a\b:s:$DATA` is `a\b` and `s`. `::$DATA` is the file itself.
pub(super) fn split_stream(path: &str) -> (String, Option<String>) {
    let last = path.rfind('\\').map_or(0, |i| i + 1);
    let Some(colon) = path[last..].find(':').map(|i| last + i) else { return (path.to_string(), None) };
    let stream = &path[colon + 1..];
    let stream = stream.strip_suffix(":$DATA").or_else(|| stream.strip_suffix(":$data")).unwrap_or(stream);
    let name = path[..colon].to_string();
    if stream.is_empty() { (name, None) } else { (name, Some(stream.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_split_from_names() {
        let split = |p: &str| {
            let (name, stream) = split_stream(p);
            (name, stream.unwrap_or_default())
        };
        assert_eq!(split("a\\b.txt"), ("a\\b.txt".into(), String::new()));
        assert_eq!(split("a\\b.txt:s:$DATA"), ("a\\b.txt".into(), "s".into()));
        assert_eq!(split("b:com.apple"), ("b".into(), "com.apple".into()));
        assert_eq!(split("b::$DATA"), ("b".into(), String::new()));
        assert_eq!(split(""), (String::new(), String::new()));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(u64_at(&[0; 7], 0), None);
        assert_eq!(u16_at(&[0; 7], usize::MAX), None);
        assert_eq!(part(&[0; 7], 3, usize::MAX), None);
        assert_eq!(utf16(&[b'a', 0, 0, 0xd8, b'b', 0, 7]), "a\u{fffd}b");
    }
}
