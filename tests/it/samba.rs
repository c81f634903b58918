//! Files out of SMB as real programs speak it: Samba's smbd and smbclient, and impacket's client, recorded by tcpdump. Every file that was written or read comes out
//! of `taploop objects` once, with its bytes, direction, share, path and account, and nothing else does.

use crate::make::{Random, ethernet};
use crate::net::{HERE, Link, RECORDED, THERE, Tcpdump};
use crate::smbd::{ADMIN, Account, BACKUP, DOMAIN, SHARE, Smbd, has_impacket};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, Output, WHOLE, run_with, taploop};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One byte each, odd lengths below and above what one packet takes, and more than a client asks for at once.
const SIZES: [usize; 5] = [0, 1, 1_023, 131_077, (4 << 20) + 70_001];
/// The same where it is not about long files.
const SHORT_SIZES: [usize; 4] = [0, 1, 1_023, 300_001];
/// What the frame after all traffic ends with.
const END: &[u8] = b"this is the end of what is sent";

/// How clients talk to the server.
struct Case {
    /// Begins the names of its files.
    name: &'static str,
    /// The clients are impacket's, and smbclient otherwise.
    impacket: bool,
    dialect: &'static str,
    flags: &'static [&'static str],
    port: u16,
    sizes: &'static [usize],
}

/// A file that moved.
struct Moved {
    account: &'static Account,
    action: &'static str,
    /// In the share, with backslashes.
    path: String,
    size: usize,
    sha256: String,
}

/// A case's files, and the recording of them.
struct Recording {
    capture: PathBuf,
    files: Vec<Moved>,
    port: u16,
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn random_bytes(random: &mut Random, size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes()).take(size.div_ceil(8)).flatten().collect();
    bytes.truncate(size);
    bytes
}

/// What one client does: files that it puts and gets, and the script for it.
struct Work {
    account: &'static Account,
    script: String,
    /// Files that the client brings back, and their bytes.
    fetched: Vec<(PathBuf, Vec<u8>)>,
    /// Files that are in the share afterwards.
    stored: Vec<(PathBuf, Vec<u8>)>,
}

/// Runs three clients at once, which put and get files of all sizes, and records them.
fn record(link: &Link, smbd: &Smbd, folder: &Path, case: &Case, seed: u64) -> Option<Recording> {
    let mut random = Random(seed);
    let local = folder.join(case.name);
    fs::create_dir_all(&local).unwrap();
    let mut files = Vec::new();
    let mut work = Vec::new();
    // The longest are enough once each way.
    let without_longest = &case.sizes[..case.sizes.len() - 1];
    // Who, in which folder of the share, whether it puts and gets, and how long files.
    for (account, dir, puts, gets, sizes) in [
        (ADMIN, "", true, false, case.sizes),
        (BACKUP, "", false, true, case.sizes),
        (ADMIN, "\u{dc}bung 2 \u{65e5}\u{672c}", true, true, without_longest),
    ] {
        let in_share = smbd.share().join(dir);
        fs::create_dir_all(&in_share).unwrap();
        let mut w = Work { account, script: String::new(), fetched: Vec::new(), stored: Vec::new() };
        let actions = [("write", puts), ("read", gets)].into_iter().filter(|(_, done)| *done);
        for (action, &size) in actions.flat_map(|(action, _)| sizes.iter().map(move |size| (action, size))) {
            let bytes = random_bytes(&mut random, size);
            let name = format!("{}-{action}-{size}.bin", case.name);
            let path = if dir.is_empty() { name.clone() } else { format!("{dir}\\{name}") };
            let here = local.join(format!("{}-{}", work.len(), name));
            files.push(Moved { account, action, path: path.clone(), size, sha256: sha256(&bytes) });
            let here_text = here.display();
            if action == "write" {
                fs::write(&here, &bytes).unwrap();
                w.script.push_str(&format!("put \"{here_text}\" \"{path}\"; "));
                w.stored.push((in_share.join(&name), bytes));
            } else {
                fs::write(in_share.join(&name), &bytes).unwrap();
                w.script.push_str(&format!("get \"{path}\" \"{here_text}\"; "));
                w.fetched.push((here, bytes));
            }
        }
        work.push(w);
    }
    let dump = Tcpdump::start(link, &local, RECORDED, &[])?;
    let port = case.port.to_string();
    let flags = [case.flags, &["-p", &port]].concat();
    std::thread::scope(|s| {
        for w in &work {
            let client = if case.impacket {
                smbd.impacket(w.account, case.dialect, &w.script)
            } else {
                smbd.client(w.account, case.dialect, &flags, &w.script)
            };
            s.spawn(move || {
                let out = run_with(client, &[]);
                assert_eq!(out.status, 0, "the client: {}{}", String::from_utf8_lossy(&out.stdout), out.stderr);
            });
        }
    });
    link.sender().send(&ethernet(&[], 0x88b5, END));
    dump.stop_after("all is recorded", |p| p.data.ends_with(END));
    // The programs did what they were told, or nothing is proven.
    for (path, bytes) in work.iter().flat_map(|w| w.fetched.iter().chain(&w.stored)) {
        assert!(fs::read(path).unwrap() == *bytes, "{}: not as it was sent", path.display());
    }
    Some(Recording { capture: local.join("tcpdump.pcap"), files, port: case.port })
}

impl Recording {
    fn command(&self, word: &str, flags: &[&str]) -> Command {
        let mut c = taploop();
        c.arg(word).arg(&self.capture).arg("--json").args(flags);
        c
    }

    fn objects(&self, flags: &[&str]) -> Output {
        run_with(self.command("objects", flags), &[])
    }

    /// What is wrong with the objects, in words; `what` tells which of several runs it was.
    fn differences(&self, what: &str, out: &Output, is_encrypted: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if out.status != WHOLE {
            wrong.push(format!("{what}: status {}: {}", out.status, out.stderr));
        }
        let objects = lines(out);
        let mut by_path: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
        for o in &objects {
            by_path.entry((o["action"].as_str().unwrap_or(""), o["path"].as_str().unwrap_or(""))).or_default().push(o);
        }
        for file in &self.files {
            let id = format!("{what}: {} of {}, {} bytes", file.action, file.path, file.size);
            let found = by_path.remove(&(file.action, file.path.as_str())).unwrap_or_default();
            let [o] = found[..] else {
                wrong.push(format!("{id}: {} objects", found.len()));
                continue;
            };
            let share = format!("\\\\{HERE}\\{SHARE}");
            let expected = [
                ("/sha256", Value::from(file.sha256.as_str())),
                ("/sha256_seen", Value::from(file.sha256.as_str())),
                ("/content_id", Value::from(file.sha256.as_str())),
                ("/size", Value::from(file.size)),
                ("/seen_bytes", Value::from(file.size)),
                ("/complete", Value::from(true)),
                ("/unconfirmed", Value::from(false)),
                ("/version", Value::from(1)),
                // Of a file without bytes none was.
                ("/encrypted", Value::from(is_encrypted && file.size > 0)),
                ("/missing", Value::Array(Vec::new())),
                ("/conflicts", Value::Array(Vec::new())),
                ("/name", Value::from(file.path.rsplit('\\').next().unwrap())),
                ("/account/user", Value::from(file.account.user)),
                ("/account/domain", Value::from(DOMAIN)),
                ("/account/how", Value::from("ntlm")),
                ("/client/ip", Value::from(THERE)),
                ("/server/ip", Value::from(HERE)),
                ("/server/port", Value::from(self.port)),
            ];
            for (field, value) in expected {
                let got = o.pointer(field).unwrap_or(&Value::Null);
                if *got != value {
                    wrong.push(format!("{id}: {field} is {got}, not {value}"));
                }
            }
            // In SMB1 a client asks for shares in upper case.
            if !o["share"].as_str().is_some_and(|s| s.eq_ignore_ascii_case(&share)) {
                wrong.push(format!("{id}: share is {}", o["share"]));
            }
        }
        wrong.extend(by_path.values().flatten().map(|o| format!("{what}: nobody moved this: {o}")));
        wrong
    }

    /// Each connection has its account, and each file its open.
    fn event_differences(&self, what: &str, flags: &[&str]) -> Vec<String> {
        let out = run_with(self.command("events", &[&["--type", "ntlm,smb_files"], flags].concat()), &[]);
        let events = lines(&out);
        let all = |path: &str, key: &str| -> Vec<&str> {
            let of_path = events.iter().filter(|e| e["_path"] == path);
            let mut all: Vec<&str> = of_path.filter_map(|e| e[key].as_str()).collect();
            all.sort_unstable();
            all
        };
        let mut wrong = Vec::new();
        let users = all("ntlm", "username");
        if users != [BACKUP.user, ADMIN.user, ADMIN.user] {
            wrong.push(format!("{what}: users are {users:?}"));
        }
        let opened: HashSet<&str> = all("smb_files", "name").into_iter().collect();
        let unopened = self.files.iter().filter(|f| !opened.contains(f.path.as_str()));
        wrong.extend(unopened.map(|f| format!("{what}: no smb_files event of {}", f.path)));
        wrong
    }

    /// The exported files are the real ones.
    fn export_differences(&self, what: &str, folder: &Path, flags: &[&str]) -> Vec<String> {
        let mut c = self.command("objects", flags);
        c.arg("--export-dir").arg(folder);
        let out = run_with(c, &[]);
        let mut wrong = self.differences(what, &out, !flags.is_empty());
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let mut exported: HashMap<(&str, &str), String> = HashMap::new();
        for o in manifest["objects"].as_array().unwrap() {
            let bytes = fs::read(folder.join(o["file"].as_str().unwrap())).unwrap();
            exported.insert((o["action"].as_str().unwrap(), o["path"].as_str().unwrap()), sha256(&bytes));
        }
        for f in &self.files {
            if exported.get(&(f.action, f.path.as_str())) != Some(&f.sha256) {
                wrong.push(format!("{what}: not exported as it is: {} of {}", f.action, f.path));
            }
        }
        let count = fs::read_dir(folder).unwrap().count();
        if count != exported.len() + 1 {
            wrong.push(format!("{what}: {count} files in the export of {}", exported.len()));
        }
        wrong
    }
}

fn lines(out: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// A link with a server and a folder for it, or a skip.
fn with_server(test: impl FnOnce(&Link, &Smbd, &Path)) {
    let Some(link) = Link::new() else { return };
    link.address();
    let data = Data::new();
    let folder = data.outside().canonicalize().unwrap();
    let Some(smbd) = Smbd::start(&link, &folder) else { return };
    test(&link, &smbd, &folder);
}

/// Plain sessions: each case recorded and looked at.
fn plain_sessions(cases: &[Case]) {
    with_server(|link, smbd, folder| {
        let mut wrong = Vec::new();
        for (n, case) in cases.iter().enumerate() {
            let Some(recording) = record(link, smbd, folder, case, n as u64) else { return };
            wrong.extend(recording.export_differences(case.name, &folder.join(format!("{}-export", case.name)), &[]));
            wrong.extend(recording.event_differences(case.name, &[]));
        }
        none(&wrong);
    });
}

#[test]
fn every_file_of_every_dialect_comes_out_whole() {
    let case = |name, dialect| Case { name, impacket: false, dialect, flags: &[], port: 445, sizes: &SIZES };
    plain_sessions(&[
        case("smb1", "NT1"),
        case("smb202", "SMB2_02"),
        case("smb210", "SMB2_10"),
        case("smb300", "SMB3_00"),
        case("smb311", "SMB3_11"),
    ]);
}

#[test]
fn every_file_of_signed_sessions_comes_out_whole() {
    let case = |name, dialect| Case {
        name,
        impacket: false,
        dialect,
        flags: &["--client-protection=sign"],
        port: 445,
        sizes: &SHORT_SIZES,
    };
    plain_sessions(&[
        case("signed1", "NT1"),
        case("signed202", "SMB2_02"),
        case("signed210", "SMB2_10"),
        case("signed300", "SMB3_00"),
        case("signed311", "SMB3_11"),
    ]);
}

#[test]
fn every_file_of_sessions_over_netbios_comes_out_whole() {
    let case = |name, dialect| Case { name, impacket: false, dialect, flags: &[], port: 139, sizes: &SHORT_SIZES };
    plain_sessions(&[case("netbios1", "NT1"), case("netbios210", "SMB2_10")]);
}

/// Another client than Samba's own, which reads and writes in its own way (an empty file it does not read at all). From 3.0 on it encrypts
/// whenever the server can.
#[test]
fn every_file_of_impackets_client_comes_out_whole() {
    if !has_impacket() {
        return;
    }
    let case = |name, dialect| Case { name, impacket: true, dialect, flags: &[], port: 445, sizes: &SHORT_SIZES[1..] };
    plain_sessions(&[case("impacket202", "0x0202"), case("impacket210", "0x0210")]);
}

/// Key files: session keys, both keys of a session, passwords, and NT hashes, each of which is enough.
fn key_files(smbd: &Smbd, folder: &Path, name: &str) -> Vec<(String, PathBuf)> {
    let sessions = smbd.sessions();
    let accounts = [ADMIN, BACKUP];
    let hash = |a: &Account| {
        let utf16: Vec<u8> = a.password.encode_utf16().flat_map(u16::to_le_bytes).collect();
        hex::encode(<md4::Md4 as md4::Digest>::digest(utf16))
    };
    let texts: [(&str, String); 4] = [
        (
            "session keys",
            sessions.iter().map(|s| format!("{},{},\"\",\"\"\n", hex::encode(&s.id), hex::encode(&s.session))).collect(),
        ),
        (
            "direction keys",
            sessions
                .iter()
                .map(|s| format!("{},\"\",{},{}\n", hex::encode(&s.id), hex::encode(&s.to_client), hex::encode(&s.to_server)))
                .collect(),
        ),
        ("passwords", accounts.iter().map(|a| format!("password:{DOMAIN}\\{}:{}\n", a.user, a.password)).collect()),
        ("NT hashes", accounts.iter().map(|a| format!("nthash:{DOMAIN}\\{}:{}\n", a.user, hash(a))).collect()),
    ];
    let write = |(kind, text): &(&str, String)| {
        let path = folder.join(format!("{name} {kind}"));
        fs::write(&path, text).unwrap();
        ((*kind).to_owned(), path)
    };
    texts.iter().map(write).collect()
}

#[test]
fn every_file_of_encrypted_sessions_comes_out_whole_with_their_keys_and_none_without() {
    let case = |name, dialect, flags, sizes| Case { name, impacket: false, dialect, flags, port: 445, sizes };
    let cases = [
        case("ccm300", "SMB3_00", &["--client-protection=encrypt"][..], &SIZES[..]),
        case(
            "gcm311",
            "SMB3_11",
            &["--client-protection=encrypt", "--option=client smb3 encryption algorithms=AES-128-GCM"],
            &SIZES,
        ),
        case(
            "ccm311",
            "SMB3_11",
            &["--client-protection=encrypt", "--option=client smb3 encryption algorithms=AES-128-CCM"],
            &SHORT_SIZES,
        ),
        case(
            "gcm256",
            "SMB3_11",
            &["--client-protection=encrypt", "--option=client smb3 encryption algorithms=AES-256-GCM"],
            &SHORT_SIZES,
        ),
        case(
            "ccm256",
            "SMB3_11",
            &["--client-protection=encrypt", "--option=client smb3 encryption algorithms=AES-256-CCM"],
            &SHORT_SIZES,
        ),
    ];
    with_server(|link, smbd, folder| {
        let mut wrong = Vec::new();
        for (n, case) in cases.iter().enumerate() {
            let Some(recording) = record(link, smbd, folder, case, 100 + n as u64) else { return };
            for (k, (kind, file)) in key_files(smbd, folder, case.name).into_iter().enumerate() {
                let what = format!("{} with {kind}", case.name);
                let flags = ["--keys", file.to_str().unwrap()];
                if k == 0 {
                    wrong.extend(recording.export_differences(&what, &folder.join(format!("{}-export", case.name)), &flags));
                    wrong.extend(recording.event_differences(&what, &flags));
                } else {
                    wrong.extend(recording.differences(&what, &recording.objects(&flags), true));
                }
            }
            let not_theirs = folder.join("wrong");
            fs::write(&not_theirs, format!("password:{DOMAIN}\\{}:another\n", ADMIN.user)).unwrap();
            for (kind, flags) in [("no keys", &[][..]), ("a wrong password", &["--keys", not_theirs.to_str().unwrap()])] {
                let out = recording.objects(flags);
                let what = format!("{} with {kind}", case.name);
                if ![WHOLE, NONE_MATCHED, NOT_WHOLE].contains(&out.status) {
                    wrong.push(format!("{what}: status {}: {}", out.status, out.stderr));
                }
                wrong.extend(lines(&out).iter().filter(|o| !o["sha256"].is_null()).map(|o| format!("{what}: called whole: {o}")));
                if out.stderr.is_empty() {
                    wrong.push(format!("{what}: it does not say that anything is encrypted"));
                }
            }
        }
        none(&wrong);
    });
}
