//! Who records, and what is refused before anything is recorded.

use crate::net::{Link, RECORDED};
use crate::record_follow::{frame, numbers};
use crate::support::{Data, WRONG_REQUEST, run_with};
use std::fs;

/// `CAP_NET_RAW` among the bits of capabilities.
const NET_RAW: u64 = 1 << 13;

/// A line of the process's status file.
fn status(pid: u32, key: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).unwrap_or_else(|| panic!("no {key} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn rights_are_given_up_once_the_sockets_are_open() {
    let nobody = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = nobody.lines().find_map(|l| l.strip_prefix("nobody:")?.split(':').nth(1)).unwrap().to_owned();
    for (flags, kept) in [(&[][..], 0), (&["--fanout", "2"], NET_RAW), (&["--capture", "libpcap"], NET_RAW)] {
        let Some(link) = Link::new() else { return };
        let data = Data::for_anyone();
        let recorder = link.record(&data, &[flags, &["--user", "nobody"]].concat());
        let pid = recorder.pid();
        assert_eq!(status(pid, "Uid"), [&nobody[..]; 4], "{flags:?}");
        for (set, bits) in [("CapInh", 0), ("CapPrm", kept), ("CapEff", kept), ("CapAmb", 0)] {
            let has = u64::from_str_radix(&status(pid, set)[0], 16).unwrap();
            assert_eq!(has, bits, "{flags:?}: {set}");
        }
        assert_eq!(status(pid, "NoNewPrivs"), ["1"], "{flags:?}");
        // Threads have rights of their own.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let id = thread.unwrap().file_name().into_string().unwrap().parse().unwrap();
            assert_eq!(status(id, "Uid"), [&nobody[..]; 4], "{flags:?}");
            assert_eq!(u64::from_str_radix(&status(id, "CapEff")[0], 16), Ok(kept), "{flags:?}");
        }
        assert_eq!(recorder.said().contains("CAP_NET_RAW"), kept > 0, "what is kept is said: {}", recorder.said());
        link.sender().send(&frame(0));
        recorder.stop();
        assert_eq!(numbers(&data.cut_all().file), [0], "{flags:?}");
    }
}

#[test]
fn wrong_requests_are_refused_in_one_line() {
    let Some(link) = Link::new() else { return };
    let cases: [(&[&str], &str); 7] = [
        (&["--user", "no-such-user"], "no-such-user"),
        (&["--filter", "udp prot 53"], "prot"),
        (&["--filter", "udp port 53 and"], "syntax"),
        (&["-i", RECORDED], "twice"),
        (&["-i", ""], "interface"),
        (&["--buffer", "1KiB"], "4 MiB"),
        (&["--fanout", "0"], "1..=64"),
    ];
    for (flags, says) in cases {
        let data = Data::new();
        let out = run_with(link.record_command(&data, &[&["-i", RECORDED], flags].concat()), &[]);
        assert_eq!(out.status, WRONG_REQUEST, "{flags:?}: {}", out.stderr);
        // The hints of the argument parser stand on lines of their own.
        let first = out.stderr.lines().next().unwrap_or_default();
        assert!(first.contains(says), "{flags:?} says nothing of {says:?}: {}", out.stderr);
        if !says.contains("MiB") && !says.contains("=") {
            out.one_line();
        }
        assert!(!data.path().join("rings").join(RECORDED).exists(), "{flags:?}: nothing was recorded");
    }
}

#[test]
fn two_interfaces_have_rings_of_their_own() {
    let Some(link) = Link::new() else { return };
    link.set("lo", "up");
    let data = Data::new();
    let recorder = link.record_interfaces(&data, &[RECORDED, "lo"], &[]);
    link.sender().send(&frame(1));
    link.here(|| crate::net::Sender::open("lo").send(&frame(2)));
    recorder.stop();
    assert_eq!(numbers(&data.cut(&["--interface", RECORDED]).file), [1]);
    assert_eq!(numbers(&data.cut(&["--interface", "lo"]).file), [2]);
}
