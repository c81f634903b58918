//! Objects and events of a ring's selection: the window decides what is told, and what lies around it tells whose it is.

use crate::make::{self, Made};
use crate::plain;
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, Output, WHOLE, run};
use serde_json::Value;
use std::net::Ipv4Addr;
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

/// A capture of the program's write with other flows in the middle of it, each of one packet.
fn among(others: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let twin = plain::read(&capture("malicious-twin.pcap")).unwrap();
    let mut packets: Vec<Made> = twin.packets.iter().map(|p| Made::new(p.time, p.data.clone())).collect();
    let middle = twin.packets[0].time / make::SECOND * make::SECOND + 16_700_000;
    packets.extend(others.map(|frame| Made::new(middle, frame)));
    packets.sort_by_key(|p| p.time);
    make::pcap(&packets)
}

fn program_of(data: &Data, flags: &[&str]) -> (Output, Value) {
    let out = data.run(&["objects"], &[&["--json", "--name", "whlpsvc.exe"], &MIDDLE[..], flags].concat());
    let mine = lines(&out);
    assert_eq!(mine.len(), 1, "{mine:?}\n{}", out.stderr);
    (out, mine[0].clone())
}

#[test]
fn however_many_flows_are_in_the_window_the_session_is_looked_back_for() {
    let whole = lines(&run(["objects", "--json", capture("malicious-twin.pcap").to_str().unwrap()]).expect(WHOLE));
    let program = whole.iter().find(|o| o["name"] == "whlpsvc.exe").unwrap();
    let host = |net: u8, i: u16| Ipv4Addr::new(10, net, (i >> 8) as u8, i as u8).into();
    let frame =
        |i: u16, proto: u8, body: &[u8]| make::ethernet_ip(&[], &make::ip(host(9, i), make::addr("10.8.0.1"), proto, body));
    let same = |mine: &Value| {
        for field in ["uid", "account", "share", "path", "size", "complete", "sha256"] {
            assert_eq!(mine[field], program[field], "{field}");
        }
    };
    let data = Data::new();
    data.take("many.pcap", &among((0..2_500).map(|i| frame(i, 17, &make::udp(1000 + i, 9999, b"x")))));
    let (out, mine) = program_of(&data, &[]);
    same(&mine);
    out.expect(WHOLE);
    // A limit is of what was asked for, and not of what tells whose that is.
    let (out, mine) = program_of(&data, &["--limit-packets", "3000"]);
    for field in ["uid", "account", "share", "path"] {
        assert_eq!(mine[field], program[field], "{field}");
    }
    assert!([WHOLE, NOT_WHOLE].contains(&out.status), "{out:?}");

    let data = Data::new();
    data.take("more.pcap", &among((0..10_050).map(|i| frame(i, 6, &make::tcp(1000 + i, 80, 1, 2, b"")))));
    let (out, mine) = program_of(&data, &[]);
    same(&mine);
    let out = out.expect(NOT_WHOLE);
    assert!(out.one_line().contains("TCP flows"), "{}", out.stderr);
}

#[test]
fn the_other_channels_of_a_session_are_read_and_nobody_elses_objects_told() {
    let whole = lines(&run(["objects", "--json", capture("multichannel.pcap").to_str().unwrap()]).expect(WHOLE));
    let data = Data::new();
    data.import(&[&capture("multichannel.pcap"), &capture("smb2-10.pcap")]).expect(WHOLE);
    let mine = lines(&data.run(&["objects"], &["--json", "--ip", "10.1.2.13"]));
    assert_eq!(mine.len(), 2, "{mine:?}");
    for (mine, object) in mine.iter().zip(&whole) {
        for field in ["uid", "account", "share", "path", "size", "complete", "missing", "sha256"] {
            assert_eq!(mine[field], object[field], "{field}");
        }
    }
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
