//! Our own SMB captures against what the scripts that made them knew (`captures/smb/NAME.expected.json`): every object, account, share,
//! call, service and task is found, with and without the keys, and nothing that is not expected. Also how contents are written out, and
//! how wrong requests are answered.

use crate::analysis::{Said, ask, ask_with, list, none_wrong, own_folder, sha256, text};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, WHOLE, WRONG_REQUEST, run};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// A capture and what must be found in it.
struct Own {
    name: String,
    capture: PathBuf,
    expected: Value,
    /// The committed secrets.
    keys: Option<PathBuf>,
}

fn all() -> Vec<Own> {
    let folder = own_folder();
    let mut all = Vec::new();
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".expected.json") else { continue };
        let with = |end: &str| Some(folder.join(format!("{name}{end}"))).filter(|p| p.is_file());
        let capture = [".pcap", ".pcapng", ".pcap.gz"].iter().find_map(|end| with(end));
        all.push(Own {
            name: name.to_owned(),
            capture: capture.unwrap_or_else(|| panic!("{name}: no capture")),
            expected: serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap(),
            keys: with(".keys").or_else(|| with(".keytab").map(|keytab| naming(name, &keytab))),
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 30, "{} captures", all.len());
    all
}

/// A key file that names a keytab: its path is not known before.
fn naming(name: &str, keytab: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (path, text) = (folder.join(format!("{name}.keys")), format!("keytab:{}\n", keytab.display()));
    // Other tests may be reading it.
    let made = tempfile::NamedTempFile::new_in(folder).unwrap();
    fs::write(made.path(), text).unwrap();
    made.persist(&path).unwrap();
    path
}

/// A name without its case.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// The last part of `\\server\share`.
fn share_name(share: &str) -> &str {
    share.rsplit('\\').next().unwrap_or(share)
}

/// The holes that remain between the ranges that were seen.
fn holes(seen: &[Value], size: u64) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    let mut at = 0;
    for range in seen {
        let (from, to) = (range[0].as_u64().unwrap(), range[1].as_u64().unwrap());
        if from > at {
            holes.push((at, from));
        }
        at = to;
    }
    if at < size {
        holes.push((at, size));
    }
    holes
}

fn missing(o: &Value) -> Vec<(u64, u64)> {
    list(o, "missing").iter().map(|m| (m["from"].as_u64().unwrap(), m["to"].as_u64().unwrap())).collect()
}

/// What is wrong with the objects.
fn wrong_objects(own: &Own, said: &Said) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left: Vec<&Value> = said.lines.iter().collect();
    let is_encrypted = own.expected["encrypted"] == true;
    let one_account = list(&own.expected, "accounts").len() == 1 && own.expected["cut_to"].is_null();
    for want in list(&own.expected, "objects") {
        for _ in 0..want["times"].as_u64().unwrap_or(1) {
            let size = want["size"].as_u64().unwrap();
            let id = format!("{}: {} of {}", own.name, text(want, "action"), text(want, "path"));
            let same = |o: &&Value| {
                ["action", "path", "complete"].iter().all(|key| o[key] == want[key])
                    && (want["complete"] == false || o["sha256"] == want["sha256"])
                    && (want["account"].is_null() || o["account"]["user"] == want["account"])
            };
            let Some(at) = left.iter().position(same) else {
                let near: Vec<_> = left.iter().filter(|o| o["path"] == want["path"]).collect();
                wrong.push(format!("{id}: not found; of this path there is {near:?}"));
                continue;
            };
            let o = left.remove(at);
            if folded(share_name(text(o, "share"))) != folded(text(want, "share")) {
                wrong.push(format!("{id}: share {}", o["share"]));
            }
            let is_whole = want["complete"] == true;
            let sha256 = if is_whole { want["sha256"].clone() } else { Value::Null };
            let mut fields = vec![
                ("/size", json!(size)),
                ("/sha256", sha256.clone()),
                ("/name", json!(text(want, "path").rsplit('\\').next())),
                ("/client/ip", own.expected["client"].clone()),
                ("/server/ip", own.expected["server"].clone()),
                ("/version", json!(1)),
                ("/conflicts", json!([])),
                ("/unconfirmed", json!(false)),
                ("/compressed", json!(want["compressed"] == true)),
                ("/encrypted", json!(is_encrypted && size > 0)),
            ];
            if is_whole {
                fields.extend([("/seen_bytes", json!(size)), ("/missing", json!([]))]);
                fields.extend([("/sha256_seen", sha256.clone()), ("/content_id", sha256)]);
            }
            if one_account {
                let account = &own.expected["accounts"][0];
                for (field, key) in [("/account/user", "user"), ("/account/domain", "domain"), ("/account/how", "how")] {
                    fields.push((field, account[key].clone()));
                }
            }
            for (field, value) in fields {
                // Other addresses of the same two hosts.
                let second = ["client", "server"].iter().find(|k| field == format!("/{k}/ip"));
                let second = second.map_or(&Value::Null, |k| &own.expected[format!("{k}_2")]);
                let got = o.pointer(field).unwrap_or(&Value::Null);
                if *got != value && (got != second || second.is_null()) {
                    wrong.push(format!("{id}: {field} is {got}, not {value}"));
                }
            }
            if !is_whole {
                let seen = list(want, "seen");
                let count: u64 = seen.iter().map(|r| r[1].as_u64().unwrap() - r[0].as_u64().unwrap()).sum();
                if missing(o) != holes(seen, size) || o["seen_bytes"] != count {
                    wrong.push(format!("{id}: {} seen, missing {}; seen are {seen:?}", o["seen_bytes"], o["missing"]));
                }
                if !text(o, "content_id").starts_with("p-") {
                    wrong.push(format!("{id}: content_id {}", o["content_id"]));
                }
            }
        }
    }
    wrong.extend(left.iter().map(|o| format!("{}: nobody moved {o}", own.name)));
    wrong
}

/// Accounts, shares, calls, services and tasks.
fn wrong_events(own: &Own, said: &Said, with_keys: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |text: String| wrong.push(format!("{}: {text}", own.name));

    let logons: Vec<&Value> = said.log("ntlm").collect();
    // Of Kerberos the objects tell the account, if a key tells it.
    let expected: Vec<&Value> = list(&own.expected, "accounts").iter().filter(|a| a["how"] != "kerberos").collect();
    // The snap length may have cut the name off.
    if own.expected["cut_to"].is_null() {
        for a in &expected {
            let found = logons.iter().filter(|e| {
                e["username"] == a["user"]
                    && e["domainname"] == a["domain"]
                    && (e["hostname"] == a["workstation"] || e["success"] == true)
            });
            // Without extended security there is no NTLM message, and the account is told with what it did.
            let did = said.lines.iter().filter(|e| e["account"]["user"] == a["user"] && e["account"]["domain"] == a["domain"]);
            let count = if logons.is_empty() { did.take(1).count() } else { found.count() };
            if count == 0 || a["sessions"].as_u64().is_some_and(|n| n != count as u64) {
                say(format!("account {a}: {count} times in {logons:?}"));
            }
        }
        let known: BTreeSet<&str> = expected.iter().map(|a| text(a, "user")).collect();
        for e in logons.iter().filter(|e| !known.contains(text(e, "username"))) {
            say(format!("nobody logged on as {e}"));
        }
    }

    let mapped: BTreeSet<String> = said.log("smb_mapping").map(|e| folded(text(e, "path"))).collect();
    let is_closed = own.expected["encrypted"] == true && !with_keys;
    for share in list(&own.expected, "shares").iter().filter_map(Value::as_str).filter(|_| !is_closed) {
        if !mapped.contains(&folded(share)) {
            say(format!("share {share} is not among {mapped:?}"));
        }
    }
    for pipe in list(&own.expected, "pipes") {
        if !said
            .log("smb_files")
            .any(|e| e["action"] == "SMB::PIPE_OPEN" && folded(text(e, "name")) == folded(pipe.as_str().unwrap()))
        {
            say(format!("pipe {pipe} was not opened"));
        }
    }

    let mut calls: BTreeMap<(String, u64), Vec<&Value>> = BTreeMap::new();
    for e in said.log("dce_rpc") {
        calls.entry((text(e, "interface_uuid").to_owned(), e["opnum"].as_u64().unwrap_or(u64::MAX))).or_default().push(e);
    }
    for want in list(&own.expected, "calls") {
        let key = (text(want, "interface").to_owned(), want["opnum"].as_u64().unwrap());
        let found = calls.remove(&key).unwrap_or_default();
        if found.len() as u64 != want["count"].as_u64().unwrap() {
            say(format!("call {want}: {} times", found.len()));
        }
        let is_sealed = want["sealed"] == true && !with_keys;
        for e in found {
            if (e["sealed"] == true) != is_sealed {
                say(format!("call {want}: sealed is not {is_sealed} in {e}"));
            }
            // Sealed arguments are not there, and those of readable calls are what was sent.
            if is_sealed && !e["arguments"].is_null() {
                say(format!("a sealed call's arguments: {e}"));
            }
            for (name, value) in want["arguments"].as_object().into_iter().flatten().filter(|_| !is_sealed) {
                if e["arguments"][name] != *value {
                    say(format!("call {want}: {} is not {name} {value}", e["arguments"]));
                }
            }
        }
    }
    if !own.expected["calls"].is_null() {
        wrong.extend(calls.keys().map(|k| format!("{}: nobody called {k:?}", own.name)));
    }

    // What the calls carried can be read where they are not sealed, or were opened.
    let is_readable = with_keys || own.keys.is_none();
    let mut say = |text: String| wrong.push(format!("{}: {text}", own.name));
    let services: Vec<&Value> = said.log("service").collect();
    for want in list(&own.expected, "services") {
        let fits = |e: &&&Value| ["name", "display_name", "binary_path"].iter().all(|k| e[k] == want[k]);
        if services.iter().find(fits).is_none() {
            say(format!("service {want} is not among {services:?}"));
        }
    }
    let tasks: Vec<&Value> = said.log("scheduled_task").collect();
    for want in list(&own.expected, "tasks") {
        let fits = |e: &&&Value| {
            e["action"] == "registered"
                && e["name"] == want["path"]
                && e["command"] == want["command"]
                && e["command_arguments"] == want["arguments"]
                && sha256(text(e, "xml").as_bytes()) == text(want, "xml_sha256")
        };
        if tasks.iter().find(fits).is_some() != is_readable {
            say(format!("task {want}: readable is {is_readable}; there are {tasks:?}"));
        }
    }
    for want in list(&own.expected, "at_jobs") {
        let fits = |e: &&&Value| e["action"] == "registered" && e["name"] == want["file"] && e["command"] == want["command"];
        if tasks.iter().find(fits).is_none() {
            say(format!("job {want} is not among {tasks:?}"));
        }
    }
    let answers = said.log("dce_rpc").map(|e| e["arguments"].to_string()).collect::<String>();
    for user in list(&own.expected, "samr_users").iter().filter_map(Value::as_str) {
        if answers.contains(&format!("\"name\":\"{user}\"")) != is_readable {
            say(format!("{user} among the users: readable is {is_readable}"));
        }
    }
    if let Some(user) = own.expected["samr_looked_up"].as_str()
        && answers.contains(&format!("\"names\":[\"{user}\"]")) != is_readable
    {
        say(format!("{user} looked up: readable is {is_readable}"));
    }
    wrong
}

#[test]
fn every_object_and_event_that_the_scripts_knew() {
    let mut wrong = Vec::new();
    for own in all() {
        let keys = own.keys.as_deref();
        let objects = ask("objects", &own.capture, keys);
        let expected = if list(&own.expected, "objects").is_empty() { NONE_MATCHED } else { WHOLE };
        if objects.status != expected {
            wrong.push(format!("{}: status {}: {}", own.name, objects.status, objects.stderr));
        }
        wrong.extend(wrong_objects(&own, &objects));
        let events = ask("events", &own.capture, keys);
        if events.status != WHOLE {
            wrong.push(format!("{}: status {}: {}", own.name, events.status, events.stderr));
        }
        wrong.extend(wrong_events(&own, &events, keys.is_some()));
    }
    none_wrong(&wrong);
}

/// The user's password does what the session keys do.
#[test]
fn a_password_opens_what_the_session_keys_open() {
    let data = Data::new();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for own in all() {
        let Some(line) = own.expected["password"].as_str() else { continue };
        let keys = data.file("password.keys", format!("{line}\n").as_bytes());
        wrong.extend(wrong_objects(&own, &ask("objects", &own.capture, Some(&keys))));
        wrong.extend(wrong_events(&own, &ask("events", &own.capture, Some(&keys)), true));
        tried += 1;
    }
    none_wrong(&wrong);
    assert!(tried >= 4, "{tried} captures");
}

/// Without secrets what is sealed or encrypted is told of, never shown.
#[test]
fn without_keys_nothing_comes_out_of_what_is_encrypted() {
    let data = Data::new();
    let other = data.file("other.keys", b"password:CORP\\appadmin:Winter-1999\n");
    let mut wrong = Vec::new();
    for own in all().iter().filter(|o| o.keys.is_some()) {
        for keys in [None, Some(other.as_path())] {
            let objects = ask("objects", &own.capture, keys);
            if own.expected["encrypted"] == true {
                assert_eq!(objects.lines.len(), 0, "{}: {:?}", own.name, objects.lines);
                assert_eq!(objects.status, NONE_MATCHED, "{}", own.name);
                assert!(objects.stderr.contains("encrypted"), "{}: {}", own.name, objects.stderr);
            } else {
                wrong.extend(wrong_objects(own, &objects));
            }
            wrong.extend(wrong_events(own, &ask("events", &own.capture, keys), false));
        }
    }
    none_wrong(&wrong);
}

/// The files of an export and the entries of its manifest.
fn export(own: &Own, folder: &Path) -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let mut flags: Vec<&OsStr> = vec!["--json".as_ref(), "--export-dir".as_ref(), folder.as_os_str()];
    flags.extend(own.keys.iter().flat_map(|k| ["--keys".as_ref(), k.as_os_str()]));
    let out = ask_with("objects", &own.capture, &flags);
    let expected = if list(&own.expected, "objects").is_empty() { NONE_MATCHED } else { WHOLE };
    assert_eq!(out.status, expected, "{}: {}", own.name, out.stderr);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap());
    }
    let Some(manifest) = files.remove("manifest.json") else { return (files, Vec::new()) };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    (files, list(&manifest, "objects").to_vec())
}

#[test]
fn exported_files_hold_the_bytes_and_the_manifest_says_which() {
    let mut wrong = Vec::new();
    for own in all() {
        let data = Data::new();
        let (files, manifest) = export(&own, &data.outside().join("out"));
        let said = Said { status: WHOLE, lines: manifest.clone(), stderr: String::new() };
        wrong.extend(wrong_objects(&own, &said));
        let mut named = BTreeSet::new();
        for o in &manifest {
            let name = text(o, "file");
            let id = format!("{}: {name}", own.name);
            let Some(bytes) = files.get(name) else {
                wrong.push(format!("{id}: not written, of {o}"));
                continue;
            };
            named.insert(name.to_owned());
            if bytes.len() as u64 != o["size"].as_u64().unwrap() {
                wrong.push(format!("{id}: {} bytes of {}", bytes.len(), o["size"]));
            }
            if (o["complete"] == true) == name.ends_with(".partial") {
                wrong.push(format!("{id}: complete is {}", o["complete"]));
            }
            if o["complete"] == true && sha256(bytes) != text(o, "sha256") {
                wrong.push(format!("{id}: holds other bytes"));
            }
            let mut seen = Vec::new();
            for (from, to) in list(o, "seen").iter().map(|r| (r[0].as_u64().unwrap() as usize, r[1].as_u64().unwrap() as usize)) {
                seen.extend_from_slice(&bytes[from..to]);
            }
            if sha256(&seen) != text(o, "sha256_seen") {
                wrong.push(format!("{id}: holds other bytes where they were seen"));
            }
            if missing(o).iter().any(|(from, to)| bytes[*from as usize..*to as usize].iter().any(|b| *b != 0)) {
                wrong.push(format!("{id}: bytes in a hole"));
            }
        }
        wrong.extend(files.keys().filter(|f| !named.contains(*f)).map(|f| format!("{}: {f} is not in the manifest", own.name)));
    }
    none_wrong(&wrong);
}

/// What the snap length left of a file is the same bytes as in the whole capture of the same files.
#[test]
fn what_was_seen_of_cut_files_is_right() {
    let all = all();
    let find = |name: &str| all.iter().find(|o| o.name == name).unwrap();
    let (cut, whole) = (Data::new(), Data::new());
    let (parts, manifest) = export(find("smb-snaplen"), &cut.outside().join("out"));
    let (files, _) = export(find("smb2-10"), &whole.outside().join("out"));
    let mut compared = 0;
    for o in manifest.iter().filter(|o| o["complete"] == false) {
        let truth = &files[text(o, "name")];
        for r in list(o, "seen") {
            let range = r[0].as_u64().unwrap() as usize..r[1].as_u64().unwrap() as usize;
            assert!(parts[text(o, "file")][range.clone()] == truth[range.clone()], "{}: {range:?}", o["path"]);
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared} ranges");
}

#[test]
fn wrong_requests_get_one_line_and_status_2() {
    let data = Data::new();
    let capture = own_folder().join("smb2-10.pcap");
    let capture = capture.to_str().unwrap();
    let text = data.file("letter.txt", b"Dear reader, this is no capture.\n");
    let text = text.to_str().unwrap();
    let nowhere = data.outside().join("not-there.pcap");
    let nowhere = nowhere.to_str().unwrap();
    for word in ["objects", "events"] {
        run([word]).expect(WRONG_REQUEST).one_line();
        for (args, named) in [
            (vec![nowhere], "not-there.pcap"),
            (vec![text], "letter.txt"),
            (vec!["--ip", "10.1.2.3", capture], "--data"),
            (vec!["--from", "-5m", capture], "--data"),
            (vec!["--keys", text, capture], "line 1"),
            (vec!["--keys", nowhere, capture], "not-there.pcap"),
            (vec!["--no-such-flag", capture], "--no-such-flag"),
        ] {
            let out = run([&[word], args.as_slice()].concat());
            assert_eq!(out.status, WRONG_REQUEST, "{word} {args:?}: {}", out.stderr);
            assert!(out.one_line().contains(named), "{word} {args:?}: {}", out.stderr);
            assert!(out.stdout.is_empty(), "{word} {args:?}");
        }
    }
    let out = run(["events", "--type", "smb_fles", capture]).expect(WRONG_REQUEST);
    assert!(out.one_line().contains("smb_fles") && out.stderr.contains("smb_files"), "{}", out.stderr);
}

#[test]
fn nothing_found_and_a_damaged_file_have_statuses_of_their_own() {
    let data = Data::new();
    let capture = own_folder().join("smb2-10.pcap");
    for flags in [["--name", "nobody*"], ["--mime", "video/mp4"], ["--min-size", "1GiB"]] {
        let out = ask_with("objects", &capture, &flags.map(OsStr::new));
        assert!(out.stdout.is_empty(), "{flags:?}");
        out.expect(NONE_MATCHED).one_line();
    }
    ask_with("events", &capture, &["--type", "dns"].map(OsStr::new)).expect(NONE_MATCHED).one_line();
    let bytes = fs::read(&capture).unwrap();
    let half = data.file("half.pcap", &bytes[..bytes.len() / 2]);
    for word in ["objects", "events"] {
        let said = ask(word, &half, None);
        assert_eq!(said.status, NOT_WHOLE, "{word}: {}", said.stderr);
        assert!(!said.lines.is_empty() && said.stderr.contains("half.pcap"), "{word}: {}", said.stderr);
    }
}
