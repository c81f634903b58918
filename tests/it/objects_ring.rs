//! Objects and events of a ring's selection: the window decides what is told, and what lies around it tells whose it is.

use crate::make::{self, Made};
use crate::plain;
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, Output, WHOLE, run};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// In the middle of the write of a program.
const MIDDLE: [&str; 4] = ["--from", "2018-06-21T10:42:00.0165Z", "--to", "2018-06-21T10:42:00.0170Z"];

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/smb").join(name)
}

fn story() -> Data {
    let data = Data::new();
    data.import(&[&capture("seed-story.pcapng"), &capture("malicious-twin.pcap")]).expect(WHOLE);
    data
}

fn lines(out: &Output) -> Vec<Value> {
    String::from_utf8(out.stdout.clone()).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn a_window_inside_of_a_transfer_gives_all_of_it() {
    let data = story();
    let whole = lines(&run(["objects", "--json", capture("malicious-twin.pcap").to_str().unwrap()]).expect(WHOLE));
    let program = whole.iter().find(|o| o["name"] == "whlpsvc.exe").unwrap();
    let told = data.run(&["objects"], &[&["--json"], &MIDDLE[..]].concat());
    let mine = lines(&told);
    assert_eq!(mine.len(), 1, "{mine:?}");
    for field in ["uid", "account", "share", "path", "action", "size", "complete", "sha256", "packets", "ts", "ts_end"] {
        assert_eq!(mine[0][field], program[field], "{field}");
    }
    assert_eq!(mine[0]["complete"], true);
    let inside = mine[0]["bytes_in_window"].as_u64().unwrap();
    assert!(inside > 0 && inside <= 5_120, "{inside}");
    // Nothing was asked for of the other interface's time, and coverage says so.
    assert!([WHOLE, NOT_WHOLE].contains(&told.status), "{told:?}");
}

#[test]
fn events_are_those_of_the_window_and_know_whose_session_it_is() {
    let data = story();
    let window = ["--from", "2018-06-21T10:42:00.044Z", "--to", "2018-06-21T10:42:00.045Z"];
    let mine = lines(&data.run(&["events"], &[&["--json", "--type", "service,ntlm"], &window[..]].concat()));
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert_eq!((&mine[0]["action"], &mine[0]["name"]), (&"created".into(), &"WinHelpSvc".into()));
    assert_eq!(mine[0]["account"]["user"], "appadmin", "the logon lies before the window");
    let all = lines(&data.run(&["events"], &["--json", "--type", "scheduled_task"]));
    assert!(all.iter().any(|e| e["name"] == "At3.job" && e["command"] == "cmd.exe /c net user helper /add"), "{all:?}");
}

#[test]
fn packets_of_an_object_give_the_same_object() {
    let data = story();
    let out = data.outside().join("program.pcapng");
    let flags = ["--json", "--name", "WHLPSVC*", "--packets", out.to_str().unwrap()];
    let first = lines(&data.run(&["objects"], &flags).expect(WHOLE));
    assert_eq!(first.len(), 1);
    let again = lines(&run(["objects", "--json", out.to_str().unwrap()]).expect(WHOLE));
    assert_eq!(again.len(), 1, "no other file's packets");
    for field in ["uid", "account", "share", "path", "sha256", "packets"] {
        assert_eq!(again[0][field], first[0][field], "{field}");
    }
}

#[test]
fn a_selection_without_smb_says_that_nothing_is_there() {
    let data = story();
    let out = data.run(&["objects"], &["--ip", "10.99.0.1"]).expect(NONE_MATCHED);
    assert!(out.stderr.contains("no packet matches"), "{}", out.stderr);
    let out = run(["objects", "--ip", "10.1.2.3", capture("smb2-10.pcap").to_str().unwrap()]);
    assert!(out.status == 2 && out.stderr.contains("--data"), "{out:?}");
}

#[test]
fn a_channel_without_its_negotiation_belongs_to_the_session_that_it_binds_to() {
    let whole = lines(&run(["objects", "--json", capture("multichannel.pcap").to_str().unwrap()]).expect(WHOLE));
    let file = plain::read(&capture("multichannel.pcap")).unwrap();
    // The second channel, whose server is 10.1.2.11, begins behind the answer to its NEGOTIATE (command 0).
    let is_second = |d: &[u8]| d[26..30] == [10, 1, 2, 11] || d[30..34] == [10, 1, 2, 11];
    let is_answer = |d: &[u8]| {
        let smb = d.windows(4).position(|w| w == b"\xfeSMB");
        d[26..30] == [10, 1, 2, 11] && smb.is_some_and(|at| d[at + 12..at + 14] == [0, 0])
    };
    let begins = file.packets.iter().position(|p| is_answer(&p.data)).unwrap() + 1;
    let left = file.packets.iter().enumerate().filter(|(i, p)| *i >= begins || !is_second(&p.data));
    let packets: Vec<Made> = left.map(|(_, p)| Made::new(p.time, p.data.clone())).collect();
    assert!(packets.len() + 5 <= file.packets.len());
    let data = Data::new();
    let path = data.file("bound.pcap", &make::pcap(&packets));
    let mine = lines(&run(["objects", "--json", path.to_str().unwrap()]));
    assert_eq!(mine.len(), whole.len(), "{mine:?}");
    for (mine, object) in mine.iter().zip(&whole) {
        for field in ["account", "share", "path", "size", "complete", "sha256"] {
            assert_eq!(mine[field], object[field], "{field}");
        }
    }
}
