//! The captures of `TAPLOOP_CORPUS` against what its oracle (tshark and a reader of its own, `oracle/NAME.json`) says of them: transfers,
//! accounts, calls, shares and tasks. Expected values come from the oracle only. Where the two differ, the tables below say who is
//! right, with the frames that show it.

use crate::analysis::{Said, ask, list, none_wrong, sha256, text};
use crate::support::{Data, corpus};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands in the oracle and not in our answer, or the other way round. A fault is a difference in which the oracle is right: it is
/// here so that the rest can be held against it, and goes once it is mended.
struct Difference {
    capture: &'static str,
    what: &'static str,
    /// How it is written in a line of the comparison.
    shown: &'static str,
    why: &'static str,
}

const fn known(capture: &'static str, what: &'static str, shown: &'static str, why: &'static str) -> Difference {
    Difference { capture, what, shown, why }
}

const KNOWN: &[Difference] = &[
    // tshark 4.0 leaves the base64 of these mail protocols closed.
    known("ntlm-synthetic-ipv6.pcap", "ntlm", "only ours: 1 of jack, SMTPDOM, SMTPHOST", "frame 148: base64 over SMTP"),
    known("ntlm-synthetic-ipv6.pcap", "ntlm", "only ours: 1 of kate, IMAPDOM, IMAPHOST", "frame 172: base64 over IMAP"),
    known("ntlm-synthetic-ipv6.pcap", "ntlm", "only ours: 1 of liam, POP3DOM, POP3HOST", "frame 196: base64 over POP3"),
    // Over TCP to port 445 without SMB; tshark looks for NetBIOS there and finds none.
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of 12345778-1234-abcd-ef00-0123456789ac, 5",
        "frame 13: DCE/RPC on port 445",
    ),
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of 4b324fc8-1670-01d3-1278-5a47bf6ee188, 21",
        "frame 33: DCE/RPC on port 445",
    ),
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of c681d488-d850-11d0-8c52-00c04fd90f7e, 7",
        "frame 54: DCE/RPC on port 445",
    ),
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of 6bffd098-a112-3610-9833-46c3f87e345a, 10",
        "frame 75: DCE/RPC on port 445",
    ),
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of 86d35949-83c9-4044-b424-db363231fd0c, 13",
        "frame 96: DCE/RPC on port 445",
    ),
    known(
        "dcerpc-synthetic.pcap",
        "calls",
        "only ours: 1 of 000001a0-0000-0000-c000-000000000046, 16",
        "frame 117: DCE/RPC on port 445",
    ),
    // JobTime is a DWORD_PTR ([MS-TSCH] 2.3.2), of eight bytes in NDR64. tshark takes four, and byte 0x10b for the flags, which are in 0x10f.
    known("atsvc-jobadd-midstream.pcap", "tasks", "frame 9: flags is 16, not \"0x00\"", "byte 0x10f of frame 9 is 0x10"),
    known("smb1-dos-win98-netbeui.pcap", "shares", "only the oracle: \\mdjr98\\test", "NetBEUI: there is no IP in this capture"),
    known(
        "smb2-named-pipe-unicode.pcap",
        "shares",
        "only the oracle: \\192.168.122.63\\$ipc",
        "frame 26: 0xc00000cc, the server refused it",
    ),
];

/// A capture and what the oracle says of it.
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) oracle: Value,
}

/// All captures that the oracle knows.
pub(crate) fn captures(root: &Path) -> Vec<Capture> {
    let mut all = Vec::new();
    for topic in fs::read_dir(root).unwrap().flatten().filter(|e| e.path().is_dir()) {
        if ["oracle", "objects", "zeek"].iter().any(|other| topic.file_name() == *other) {
            continue;
        }
        for entry in fs::read_dir(topic.path()).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(oracle) = fs::read(root.join("oracle").join(format!("{name}.json"))) else { continue };
            all.push(Capture { name, path: entry.path(), oracle: serde_json::from_slice(&oracle).unwrap() });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() > 150, "{} captures", all.len());
    all
}

/// The secrets of `keys.tsv` as a key file's text.
fn secrets(root: &Path, captures: &[Capture]) -> BTreeMap<String, String> {
    let table = fs::read_to_string(root.join("keys.tsv")).unwrap();
    let mut all = BTreeMap::new();
    for row in table.lines().skip(1) {
        let [file, _, _, _, password, preference] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let name = file.rsplit('/').next().unwrap().to_owned();
        let text = match preference.strip_prefix("uat:smb2_seskey_list:") {
            Some(line) => format!("{line}\n"),
            None => {
                let capture = captures.iter().find(|c| c.name == name).unwrap();
                let line = |a: &Value| format!("password:{}\\{}:{password}\n", text(a, "domain"), text(a, "user"));
                list(&capture.oracle, "ntlm").iter().map(line).collect()
            }
        };
        all.insert(name, text);
    }
    assert!(all.len() >= 5, "{all:?}");
    all
}

/// Calls `f` with each capture and what we say of it, two at a time; gives back all that `f` finds wrong and that no table knows.
fn compare(what: &'static str, word: &'static str, f: impl Fn(&Capture, &Said, bool) -> Vec<String> + Sync) {
    let Some(root) = corpus() else { return };
    let all = captures(&root);
    let secrets = secrets(&root, &all);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                let data = Data::new();
                while let Some(c) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let keys = secrets.get(&c.name).map(|text| data.file("some.keys", text.as_bytes()));
                    let said = ask(word, &c.path, keys.as_deref());
                    let lines = f(c, &said, keys.is_some());
                    found.lock().unwrap().extend(lines.into_iter().map(|l| (c.name.clone(), l)));
                }
            });
        }
    });
    let mut wrong = Vec::new();
    let found = found.into_inner().unwrap();
    let table: Vec<&Difference> = KNOWN.iter().filter(|d| d.what == what).collect();
    wrong.extend(
        found.iter().filter(|(c, l)| !table.iter().any(|d| d.capture == c && d.shown == l)).map(|(c, l)| format!("{c}: {l}")),
    );
    for d in table.iter().filter(|d| !found.contains(&(d.capture.to_owned(), d.shown.to_owned()))) {
        wrong.push(format!("{}: is no difference any more: {} ({})", d.capture, d.shown, d.why));
    }
    none_wrong(&wrong);
}

/// A line for each thing of which one side has more.
fn unequal(oracle: &BTreeMap<String, u64>, ours: &BTreeMap<String, u64>) -> Vec<String> {
    let more = |a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>, who: &str| -> Vec<String> {
        let extra = a.iter().map(|(k, n)| (k, n.saturating_sub(b.get(k).copied().unwrap_or(0))));
        extra.filter(|(_, n)| *n > 0).map(|(k, n)| format!("only {who}: {n} of {k}")).collect()
    };
    [more(oracle, ours, "the oracle"), more(ours, oracle, "ours")].concat()
}

fn count(map: &mut BTreeMap<String, u64>, key: String, n: u64) {
    *map.entry(key).or_default() += n;
}

/// The reads and writes of the oracle's own reader, pipes left out.
fn transfers(oracle: &Value) -> impl Iterator<Item = (&'static str, &Value, &Value)> {
    let files = list(oracle, "transfers").iter().filter(|t| t["share_type"] != "pipe");
    files.flat_map(|t| ["read", "write"].into_iter().filter_map(move |way| Some((way, t, t.get(way).filter(|d| d.is_object())?))))
}

/// Writes over the beginning of a longer file that was there before.
fn rewrites_the_head(t: &Value, way: &str, done: &Value) -> bool {
    way == "write" && t["create_action"] == 1 && t["size_at_open"].as_u64() > done["size"].as_u64()
}

pub(crate) fn folded(name: &str) -> String {
    name.trim_end_matches('\0').trim_matches('\\').to_lowercase()
}

#[test]
fn every_whole_transfer_of_the_oracle_is_ours() {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    compare("objects", "objects", |c, said, _| {
        let mut wrong = Vec::new();
        // Each of our objects stands for one transfer. Those that are named choose first.
        let mut left: Vec<&Value> = said.lines.iter().collect();
        let mut wanted: Vec<_> = transfers(&c.oracle).filter(|(_, _, done)| done["complete"] == true).collect();
        wanted.sort_by_key(|(_, t, _)| t["opened_frame"].is_null());
        for (way, t, done) in wanted {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let sha = text(done, "sha256");
            let at = format!("{way} of {} (frame {}), {} bytes", t["name"], t["opened_frame"], done["size"]);
            let (name, share) = (folded(text(t, "name")), folded(text(t, "share")));
            // A stream's name is a field of its own.
            let full = |o: &Value| match text(o, "stream") {
                "" => folded(text(o, "path")),
                stream => folded(&format!("{}:{stream}", text(o, "path"))),
            };
            let is_named = |o: &Value| t["opened_frame"].is_null() || full(o) == name;
            let is_shared = |o: &Value| share.is_empty() || folded(text(o, "share")) == share;
            let same = left.iter().enumerate().filter(|(_, o)| o["action"] == way && text(o, "sha256_seen") == sha);
            let Some((place, _)) = same.max_by_key(|(_, o)| (is_named(o), is_shared(o))) else {
                wrong.push(format!("{at}: not ours"));
                continue;
            };
            let same = [left.remove(place)];
            if !is_named(same[0]) {
                wrong.push(format!("{at}: another path, {:?}", same[0]["path"]));
            }
            if !is_shared(same[0]) {
                wrong.push(format!("{at}: not {}, {:?}", t["share"], same[0]["share"]));
            }
            if rewrites_the_head(t, way, done) {
                let why: Vec<&str> = same.iter().flat_map(|o| list(o, "missing")).map(|m| text(m, "why")).collect();
                if same.iter().any(|o| o["complete"] == true) || why.is_empty() || why.iter().any(|w| *w != "not_rewritten") {
                    wrong.push(format!("{at}: the rest of the file is missing because of {why:?}"));
                }
            }
        }
        for x in list(&c.oracle, "smb_objects").iter().filter(|x| x["complete"] == true && x["named_pipe"] != true) {
            if !said.lines.iter().any(|o| o["sha256_seen"] == x["sha256"]) {
                wrong.push(format!("exported by tshark and not ours: {x}"));
            }
        }
        wrong
    });
    if std::env::var_os("TAPLOOP_CORPUS").is_some() {
        assert!(seen.into_inner() > 250);
    }
}

/// What we call whole, the oracle's reader has with the same bytes (it reads no encryption and no compression).
#[test]
fn nothing_is_called_whole_that_the_oracle_knows_otherwise() {
    compare("whole", "objects", |c, said, _| {
        let known: BTreeSet<&str> = transfers(&c.oracle).map(|(_, _, done)| text(done, "sha256")).collect();
        let exported = list(&c.oracle, "smb_objects").iter().map(|x| text(x, "sha256"));
        let known: BTreeSet<&str> = known.into_iter().chain(exported).collect();
        let whole = said.lines.iter().filter(|o| o["complete"] == true && o["encrypted"] == false && o["compressed"] == false);
        let unknown = whole.filter(|o| o["size"] != 0 && !known.contains(text(o, "sha256")));
        unknown.map(|o| format!("{} of {}, {} bytes, in version {}", o["action"], o["path"], o["size"], o["version"])).collect()
    });
}

#[test]
fn thirteen_writes_over_the_heads_of_longer_files_are_not_whole() {
    let Some(root) = corpus() else { return };
    for c in captures(&root).iter().filter(|c| c.name.starts_with("smb2-peter-")) {
        let said = ask("objects", &c.path, None);
        let heads: Vec<&Value> = said.lines.iter().filter(|o| o["action"] == "write" && o["seen_bytes"] == 4_096).collect();
        let partial = heads.iter().filter(|o| {
            o["complete"] == false
                && o["sha256"].is_null()
                && !list(o, "missing").is_empty()
                && list(o, "missing").iter().all(|m| m["why"] == "not_rewritten" && m["from"].as_u64() >= Some(4_096))
        });
        assert_eq!(partial.count(), 13, "{}", c.name);
        let whole: BTreeSet<&str> = said.lines.iter().filter(|o| o["complete"] == true).map(|o| text(o, "sha256")).collect();
        for (way, t, done) in transfers(&c.oracle).filter(|(way, t, done)| rewrites_the_head(t, way, done)) {
            assert!(!whole.contains(text(done, "sha256")), "{}: {way} of {}", c.name, t["name"]);
        }
    }
}

#[test]
fn accounts_are_those_of_the_oracle() {
    compare("ntlm", "events", |c, said, _| {
        let (mut want, mut have) = (BTreeMap::new(), BTreeMap::new());
        let id = |v: &Value, keys: [&str; 3]| keys.map(|k| text(v, k).to_owned()).join(", ");
        list(&c.oracle, "ntlm").iter().for_each(|a| count(&mut want, id(a, ["user", "domain", "host"]), 1));
        said.log("ntlm").for_each(|e| count(&mut have, id(e, ["username", "domainname", "hostname"]), 1));
        unequal(&want, &have)
    });
}

#[test]
fn calls_are_those_of_the_oracle() {
    compare("calls", "events", |c, said, _| {
        let (mut want, mut have) = (BTreeMap::new(), BTreeMap::new());
        for call in list(&c.oracle["dcerpc"], "calls") {
            count(&mut want, format!("{}, {}", text(call, "uuid"), call["opnum"]), call["count"].as_u64().unwrap());
        }
        said.log("dce_rpc").for_each(|e| count(&mut have, format!("{}, {}", text(e, "interface_uuid"), e["opnum"]), 1));
        unequal(&want, &have)
    });
}

#[test]
fn shares_are_those_of_the_oracle() {
    compare("shares", "events", |c, said, _| {
        // The oracle's text has its backslashes doubled in some fields.
        let plain = |s: &str| {
            let mut s = s.trim_end_matches('\0').to_lowercase();
            while s.contains("\\\\") {
                s = s.replace("\\\\", "\\");
            }
            s
        };
        let want: BTreeSet<String> =
            list(&c.oracle, "trees").iter().map(|t| plain(text(t, "path"))).filter(|s| !s.is_empty()).collect();
        let have: BTreeSet<String> = said.log("smb_mapping").map(|e| plain(text(e, "path"))).collect();
        let one = want.difference(&have).map(|s| format!("only the oracle: {s}"));
        one.chain(have.difference(&want).map(|s| format!("only ours: {s}"))).collect()
    });
}

#[test]
fn tasks_are_those_of_the_oracle() {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    compare("tasks", "events", |c, said, _| {
        let mut wrong = Vec::new();
        let unescaped = |s: &str| s.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        for t in list(&c.oracle, "tasks") {
            // Not read by the oracle: sealed, or no arguments to show.
            if t["command"].is_null() && t["path"].is_null() {
                continue;
            }
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let xml_of = |e: &Value| text(&e["arguments"], "xml").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            let mut calls = said.log("dce_rpc").filter(|e| e["endpoint"] == t["interface"] && e["opnum"] == t["opnum"]);
            let Some(call) = calls.find(|e| {
                (t["path"].is_null() || e["arguments"]["path"] == t["path"])
                    && (t["xml_utf16le_sha256"].is_null() || text(t, "xml_utf16le_sha256") == sha256(&xml_of(e)))
                    && (t["xml_chars"].is_null() || t["xml_chars"].as_u64() == Some(xml_of(e).len() as u64 / 2))
                    && e["sealed"] != true
            }) else {
                wrong.push(format!("no call tells {t}"));
                continue;
            };
            let number = |v: &Value| match v.as_str() {
                Some(hex) => u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok(),
                None => v.as_u64(),
            };
            for key in ["job_time_ms", "days_of_month", "days_of_week", "flags"] {
                let ours = &call["arguments"][key];
                if !t[key].is_null() && number(&t[key]) != number(ours) {
                    wrong.push(format!("frame {}: {key} is {ours}, not {}", t["frame"], t[key]));
                }
            }
            let registered = said.log("scheduled_task").any(|e| {
                e["action"] == "registered"
                    && (t["path"].is_null() || e["name"] == t["path"])
                    && text(e, "command") == unescaped(text(t, "command"))
                    && text(e, "command_arguments") == unescaped(text(t, "arguments"))
            });
            if !t["command"].is_null() && !registered {
                wrong.push(format!("no task is {t}"));
            }
        }
        wrong
    });
    if std::env::var_os("TAPLOOP_CORPUS").is_some() {
        assert!(seen.into_inner() >= 9);
    }
}

/// With the keys of `keys.tsv` nothing stays closed, and the names are those that tshark reads with the same keys.
#[test]
fn the_known_keys_open_what_is_encrypted() {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    compare("encrypted", "events", |c, said, has_keys| {
        let mut wrong = Vec::new();
        if !has_keys {
            return wrong;
        }
        let is_encrypted = c.oracle["smb"]["encrypted_frames"].as_u64() > Some(0);
        let without = ask("events", &c.path, None);
        if is_encrypted {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if said.stderr.contains("encrypted") || !without.stderr.contains("encrypted") {
                wrong.push(format!("with keys {:?}, without {:?}", said.stderr, without.stderr));
            }
        } else if said.log("dce_rpc").any(|e| e["sealed"] == true) || !without.log("dce_rpc").any(|e| e["sealed"] == true) {
            wrong.push("calls are sealed with the password, or were not without".to_owned());
        }
        let want: BTreeSet<String> =
            list(&c.oracle, "files").iter().map(|f| folded(text(f, "name"))).filter(|n| !n.is_empty()).collect();
        let have: BTreeSet<String> = said.log("smb_files").map(|e| folded(text(e, "name"))).collect();
        wrong.extend(want.difference(&have).map(|n| format!("only the oracle: file {n}")));
        wrong
    });
    if std::env::var_os("TAPLOOP_CORPUS").is_some() {
        assert!(seen.into_inner() >= 4);
    }
}

/// Of the client's direction alone: its TREE_CONNECTs and CREATEs have no answers, and say all the same what is a pipe.
#[test]
fn pipes_whose_answers_were_not_captured_are_no_objects() {
    let Some(folder) = corpus() else { return };
    let capture = folder.join("lateral/psexec-add-user-async-oneside.pcap");
    let objects = ask("objects", &capture, None);
    let read: Vec<&Value> = objects.lines.iter().filter(|o| text(o, "path") != "PSEXESVC.exe").collect();
    assert!(read.is_empty(), "{read:?}");
    let events = ask("events", &capture, None);
    let shares: Vec<(&str, &str)> = events.log("smb_mapping").map(|e| (text(e, "path"), text(e, "share_type"))).collect();
    assert_eq!(shares, [("\\\\dc1\\IPC$", "PIPE"), ("\\\\dc1\\ADMIN$", "DISK")]);
    let opened: Vec<(&str, &str)> = events.log("smb_files").map(|e| (text(e, "action"), text(e, "name"))).collect();
    for name in ["svcctl", "PSEXESVC", "PSEXESVC-VICTIM-PC-2412-stdin", "PSEXESVC-VICTIM-PC-2412-stdout"] {
        assert!(opened.contains(&("SMB::PIPE_OPEN", name)), "{name}: {opened:?}");
    }
    assert!(opened.contains(&("SMB::FILE_OPEN", "PSEXESVC.exe")), "{opened:?}");
}
