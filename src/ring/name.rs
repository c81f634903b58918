//! The folder of an interface: a safe, bounded, collision-free encoding of its name.
//!
//! Letters, digits, `-`, `_`, `:`, `@`, `+`, `=` and inner dots stand for themselves; every other byte is `%` and two hexadecimal digits.
//! What comes out longer than [`FOLDER_NAME_MAX`] is cut and closed with `~` and the SHA-256 of the whole name; `~` never comes from a
//! short name. The true name stands in the ring's `ring.json` and in each segment.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;

/// Bytes of a folder's name, at most.
pub const FOLDER_NAME_MAX: usize = 150;

/// Bytes of an interface's name that are kept; pcapng allows 65,535.
pub const INTERFACE_NAME_MAX: usize = 1024;

/// The folder's name for an interface.
pub fn folder_name(interface: &str) -> String {
    let mut out = String::with_capacity(interface.len());
    for (i, byte) in interface.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b':' | b'@' | b'+' | b'=' => out.push(char::from(byte)),
            b'.' if i > 0 => out.push('.'),
            _ => {
                let _ = write!(out, "%{byte:02x}");
            }
        }
    }
    if out.len() > FOLDER_NAME_MAX || out.is_empty() {
        out.truncate(FOLDER_NAME_MAX - 65);
        put_digest(&mut out, interface);
    }
    out
}

/// The interface of a folder whose name says all of it.
pub(super) fn name_of_folder(folder: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(folder.len());
    let mut rest = folder.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after.split_at_checked(2)) {
            (b'%', Some((digits, after))) => (u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, after),
            _ => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|name| folder_name(name) == folder)
}

/// An interface's name as it is kept: one over [`INTERFACE_NAME_MAX`] bytes is cut at a character's edge and closed with `~` and the
/// SHA-256 of the whole. A kept name is kept as it is.
pub fn kept_name(name: &str) -> Cow<'_, str> {
    if name.len() <= INTERFACE_NAME_MAX {
        return Cow::Borrowed(name);
    }
    let mut end = INTERFACE_NAME_MAX - 65;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = name[..end].to_string();
    put_digest(&mut out, name);
    Cow::Owned(out)
}

fn put_digest(out: &mut String, name: &str) {
    out.push('~');
    for byte in Sha256::digest(name.as_bytes()) {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_folder_says_its_interface_unless_it_was_cut() {
        for name in ["eth0", "a/b", ".hidden", "ü%41", "50%"] {
            assert_eq!(name_of_folder(&folder_name(name)).as_deref(), Some(name));
        }
        for folder in ["", "a b", "a%2", "%41", &folder_name(&"x".repeat(200)), &folder_name("")] {
            assert_eq!(name_of_folder(folder), None, "{folder}");
        }
    }

    #[test]
    fn ordinary_names_stand_for_themselves() {
        for name in ["eth0", "enp3s0f1", "br-lan", "eth0.100", "wlan0mon", "office:1", "a@if7"] {
            assert_eq!(folder_name(name), name);
        }
    }

    #[test]
    fn hostile_names_stay_in_their_folder() {
        let long = "x".repeat(10_000);
        let names = [
            "../../etc/passwd",
            "",
            ".",
            "..",
            "a/b",
            "a\0b",
            "~",
            "%2e",
            "\x1b[31m",
            "日本",
            long.as_str(),
            "C:\\x",
            " ",
            "-rf",
        ];
        let mut seen = HashSet::new();
        for name in names {
            let folder = folder_name(name);
            assert!(!folder.is_empty() && folder.len() <= FOLDER_NAME_MAX, "{name:?} -> {folder:?}");
            assert!(!folder.starts_with('.') && !folder.contains('/') && !folder.contains('\0'), "{name:?} -> {folder:?}");
            assert!(folder.is_ascii() && !folder.contains(|c: char| c.is_ascii_control() || c == ' '));
            assert!(seen.insert(folder.clone()), "{name:?} collides: {folder:?}");
        }
    }

    #[test]
    fn long_names_differ_in_their_last_byte() {
        let (a, b) = ("x".repeat(500) + "a", "x".repeat(500) + "b");
        assert_ne!(folder_name(&a), folder_name(&b));
        let (a, b) = ("é".repeat(1000) + "a", "é".repeat(1000) + "b");
        assert!(kept_name(&a) != kept_name(&b) && kept_name(&a).len() <= INTERFACE_NAME_MAX);
        assert_eq!(kept_name(&kept_name(&a)), kept_name(&a));
    }
}
