//! Names that any file system takes, made of names from the wire.

/// Bytes of a name at most. Default 200: file systems take 255, and a number, `.partial` or a temporary suffix may be added.
pub const NAME_BYTES_MAX: usize = 200;

/// Bytes of what is kept of an extension where a name is cut.
const EXTENSION_BYTES_MAX: usize = 20;

/// Characters of a name that are looked at: as many as SMB can say, 32,767 UTF-16 units.
const NAME_CHARS_READ: usize = 32_767;

/// What such a name is called where nothing of it can be kept.
const NAMELESS: &str = "unnamed";

/// A name that is one plain file name on any file system: no separators, no control characters, nothing that Windows forbids or reserves
/// (`CON`, `NUL.txt`, `COM1`, a trailing dot or space), no leading dot, not longer than [`NAME_BYTES_MAX`].
///
/// What may not be is replaced by `_`. Characters that turn the direction of writing (they disguise extensions) count as control characters.
pub fn safe_name(name: &str) -> String {
    let mut safe: String = name.chars().map(|c| if forbidden(c) { '_' } else { c }).take(NAME_CHARS_READ).collect();
    safe = cut(safe.trim_matches([' ', '.']));
    // A cut may leave a dot or space at its end.
    let kept = safe.trim_end_matches([' ', '.']).len();
    safe.truncate(kept);
    if safe.is_empty() {
        return String::from(NAMELESS);
    }
    if reserved(&safe) {
        safe.insert(0, '_');
    }
    safe
}

/// The last part of a path with backslashes or slashes.
pub fn last_part(path: &str) -> &str {
    path.rsplit(['\\', '/']).find(|part| !part.is_empty()).unwrap_or("")
}

/// A name with a number before its extension: `name (2).ext`.
pub fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = split(name);
    format!("{stem} ({number}){extension}")
}

/// A name with its extension taken off, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION_BYTES_MAX => name.split_at(at),
        _ => (name, ""),
    }
}

fn cut(name: &str) -> String {
    // One byte is left for an underscore before a reserved name.
    if name.len() < NAME_BYTES_MAX {
        return String::from(name);
    }
    let (stem, extension) = split(name);
    let mut at = NAME_BYTES_MAX - 1 - extension.len();
    while !stem.is_char_boundary(at) {
        at -= 1;
    }
    let stem = stem.get(..at).unwrap_or(stem).trim_end_matches([' ', '.']);
    format!("{stem}{extension}")
}

fn forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}'..='\u{ffff}')
}

/// Names of DOS devices, with any extension.
fn reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let Some(number) = stem.strip_prefix("COM").or(stem.strip_prefix("LPT")) else { return false };
    matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_safe() {
        for (name, safe) in [
            ("report.docx", "report.docx"),
            ("..", "unnamed"),
            ("...", "unnamed"),
            ("", "unnamed"),
            ("a/b\\c:d", "a_b_c_d"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("nul .txt", "_nul .txt"),
            ("COM1.tar.gz", "_COM1.tar.gz"),
            ("lpt¹", "_lpt¹"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("name. . ", "name"),
            (" .profile", "profile"),
            ("a\0b\u{1b}[2Jc\u{202e}gpj.exe", "a_b_[2Jc_gpj.exe"),
            ("上传.zip", "上传.zip"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
        assert_eq!(numbered("name.ext", 2), "name (2).ext");
        assert_eq!(numbered("name", 3), "name (3)");
        assert_eq!(last_part("\\dir\\sub\\file.txt"), "file.txt");
        assert_eq!(last_part("dir/"), "dir");
        assert_eq!(last_part("\\"), "");
    }

    #[test]
    fn long_names_are_cut_between_characters_and_keep_their_extension() {
        let safe = safe_name(&format!("{}.docx", "文".repeat(500)));
        assert!(safe.len() <= NAME_BYTES_MAX && safe.len() > NAME_BYTES_MAX - 4 && safe.ends_with("文.docx"), "{safe}");
        let safe = safe_name(&"é.".repeat(500));
        assert!(safe.len() <= NAME_BYTES_MAX && !safe.ends_with('.'));
    }

    proptest! {
        #[test]
        fn any_name_becomes_safe(name in ".{0,300}", device in prop::sample::select(vec!["CON", "nul", "Com3", "LPT²", ""]), tail in "[ ./]{0,3}") {
            for name in [name.clone(), format!("{device}{tail}"), format!("{device}{tail}{name}")] {
                let safe = safe_name(&name);
                prop_assert!(!safe.is_empty() && safe.len() <= NAME_BYTES_MAX);
                prop_assert!(!safe.contains(forbidden) && !safe.starts_with('.') && !safe.ends_with(['.', ' ']));
                prop_assert!(!reserved(&safe));
                prop_assert!(safe.len() >= NAME_BYTES_MAX || safe_name(&safe) == safe, "safe names stay");
            }
        }
    }
}
