//! Exported names, folders that are not empty, and the manifest.

use super::*;
use crate::objects::export::Export;
use crate::objects::object::{Object, Side, Who};

fn who() -> Who {
    let side = |ip: [u8; 4], port| Side { ip: ip.into(), port, host: None, host_from: None };
    Who {
        uid: String::from("C1"),
        community_id: String::from("1:x"),
        client: side([192, 0, 2, 1], 50_000),
        server: side([192, 0, 2, 2], 445),
        account: None,
        share: Some(String::from("\\\\server\\share")),
    }
}

fn file(s: &mut Script, open: u64, name: &str, bytes: &[u8], size: u64) {
    let file = Opened { name: Some(String::from(name)), size: Some(size), answered: true, ..Opened::default() };
    s.tell(&What::Opened { open: OpenId(open), file });
    s.read(OpenId(open), 0, bytes);
    s.close(OpenId(open));
}

#[test]
fn names_collide_and_nothing_is_overwritten_or_followed() {
    let mut s = Script::new();
    file(&mut s, 1, "a\\Report.txt", b"one", 3);
    file(&mut s, 2, "b\\report.TXT", b"two", 3);
    file(&mut s, 3, "c\\report.txt", b"one", 3);
    file(&mut s, 4, "there", b"new", 3);
    file(&mut s, 5, "link", b"new", 3);
    file(&mut s, 6, "..\\..\\nul", b"nul", 3);
    file(&mut s, 7, "report.txt", b"part", 9);
    file(&mut s, 8, "manifest.json", b"{}", 2);
    let (all, _contents) = s.end();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("there"), "old").unwrap();
    std::fs::write(path("target"), "old").unwrap();
    std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
    let mut export = Export::new(folder.path()).unwrap();
    for t in &all {
        export.add(t, &Object::new(t, &who())).unwrap();
    }
    let manifest = export.end(&[]).unwrap();
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    for (name, text) in [
        ("Report.txt", "one"),
        ("report (2).TXT", "two"),
        ("report (3).txt", "one"),
        ("there", "old"),
        ("there (2)", "new"),
        ("target", "old"),
        ("link (2)", "new"),
        ("_nul", "nul"),
        ("report.txt.partial", "part\0\0\0\0\0"),
        ("manifest (2).json", "{}"),
    ] {
        assert_eq!(read(name), text, "{name}");
    }
    assert_eq!(manifest, path("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let objects = manifest["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 8);
    assert_eq!((&objects[5]["file"], &objects[5]["path"]), (&"_nul".into(), &"..\\..\\nul".into()));
    assert_eq!(objects[6]["missing"], serde_json::json!([{"from": 4, "to": 9, "why": "not_requested"}]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 12, "no temporary files are left");
    // Files with equal contents are two files.
    std::fs::write(path("Report.txt"), "changed").unwrap();
    assert_eq!(read("report (3).txt"), "one");
}

#[test]
fn the_line_has_its_fields_in_their_order() {
    let mut s = Script::new();
    file(&mut s, 1, "dir\\a.txt", b"text", 4);
    let (t, _folder) = s.only();
    let line = serde_json::to_string(&Object::new(&t, &who())).unwrap();
    let mut at = 0;
    for field in "ts ts_end uid community_id client server account share path name stream action version size size_from seen_bytes \
        bytes_in_window missing conflicts unconfirmed complete content_id sha256 sha256_seen mime_type extension encrypted compressed \
        renamed_to deleted copied_from packets first_packet last_packet ts_ns"
        .split_whitespace()
    {
        let next = line[at..].find(&format!("\"{field}\":")).unwrap_or_else(|| panic!("{field} in {line}"));
        at += next;
    }
    assert!(line.starts_with("{\"ts\":1e-6,") || line.starts_with("{\"ts\":0.000001,"), "{line}");
    assert!(line.contains("\"name\":\"a.txt\"") && line.contains("\"size_from\":\"create\""));
}

#[test]
fn a_name_that_is_not_known_is_the_file_id() {
    let mut s = Script::new();
    s.tell(&What::Opened { open: OPEN, file: Opened { file_id: vec![0xAB, 0x01], ..Opened::default() } });
    s.read(OPEN, 0, b"x");
    let (t, _folder) = s.only();
    assert_eq!(Object::new(&t, &who()).name, "File_Id_ab01");
}

#[test]
fn what_does_not_come_to_its_end_leaves_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    drop(Export::new(folder.path()).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let manifest = Export::new(folder.path()).unwrap().end(&[]).unwrap();
    assert!(manifest.exists());
}
