//! Small and full disks: what is dropped is the oldest, and told; what was published stays.

use crate::make::{Made, START, numbered, pcap};
use crate::support::{Data, NOT_WHOLE, Output, WHOLE, WRONG_REQUEST, run_with, skip};
use std::process::{Command, Stdio};

fn packets(from: u64, count: u64) -> Vec<Made> {
    (from..from + count).map(|n| Made::new(START + n * 100_000, numbered("10.0.0.1", "10.0.0.2", n, 1000))).collect()
}

/// Runs a script with a disk of its own of 30 MB at `$DISK`; `$T` is the binary, `$HERE` the folder around the data.
pub(crate) fn on_small_disk(data: &Data, script: &str) -> Option<Output> {
    let can = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "small", "/mnt"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|s| s.success()) {
        skip("this user may not mount a small disk (unshare -rm)");
        return None;
    }
    let disk = data.outside().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut c = Command::new("unshare");
    c.args(["-rm", "sh", "-c", &format!("mount -t tmpfs -o size=30m small $DISK && {{\n{script}\n}}")]);
    c.env("DISK", &disk).env("T", env!("CARGO_BIN_EXE_taploop")).env("HERE", data.outside()).env("NO_COLOR", "1");
    Some(run_with(c, &[]))
}

/// Words of standard output.
fn words(out: &Output) -> Vec<String> {
    String::from_utf8_lossy(&out.stdout).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_capture_larger_than_the_disk_keeps_its_newest_packets() {
    for flags in ["", "--segment-bytes 4MB", "--segment-bytes 64KiB"] {
        let data = Data::new();
        data.file("a.pcap", &pcap(&packets(0, 60_000)));
        let script = format!(
            "$T import --data $DISK/d --interface eth0 {flags} $HERE/a.pcap; echo $?
             $T cut --data $DISK/d -w $HERE/cut.pcapng; echo $?
             $T ring check --data $DISK/d >&2; echo $?"
        );
        let Some(out) = on_small_disk(&data, &script) else { return };
        assert_eq!(words(&out), ["4", "0", "0"], "{flags}: {}", out.stderr);
        assert!(out.stderr.contains("of this very import were dropped because the disk is full"), "{}", out.stderr);
        let cut = crate::plain::parse(&std::fs::read(data.outside().join("cut.pcapng")).unwrap()).unwrap();
        let source = packets(0, 60_000);
        assert!(cut.packets.len() > 8_000, "{flags}: {} are kept", cut.packets.len());
        let tail = &source[source.len() - cut.packets.len()..];
        assert!(cut.packets.iter().zip(tail).all(|(p, s)| p.data == s.data), "{flags}: the newest, in order");
    }
}

#[test]
fn a_disk_that_others_filled_costs_nothing_that_was_there() {
    let data = Data::new();
    data.file("a.pcap", &pcap(&packets(0, 2_000)));
    data.file("b.pcap", &pcap(&packets(2_000, 20_000)));
    let script = "$T import --data $DISK/d --interface eth0 $HERE/a.pcap; echo $?
        head -c 100M /dev/zero > $DISK/other 2>/dev/null
        $T import --data $DISK/d --interface eth1 $HERE/b.pcap; echo $?
        $T cut --data $DISK/d --interface eth0 -w $HERE/cut.pcapng; echo $?";
    let Some(out) = on_small_disk(&data, script) else { return };
    assert_eq!(words(&out), ["0", "1", "0"], "{}", out.stderr);
    let cut = crate::plain::parse(&std::fs::read(data.outside().join("cut.pcapng")).unwrap()).unwrap();
    assert_eq!(cut.packets.len(), 2_000);
    assert!(out.stderr.lines().any(|l| l.contains("free some space")), "{}", out.stderr);
}

#[test]
fn a_disk_that_fills_up_stops_with_what_it_holds() {
    let data = Data::new();
    data.file("a.pcap", &pcap(&packets(0, 60_000)));
    // 2 MB are left.
    let script = "head -c 28M /dev/zero > $DISK/other
        $T import --data $DISK/d --interface eth0 --segment-bytes 128KiB $HERE/a.pcap; echo $?
        $T cut --data $DISK/d -w $HERE/cut.pcapng; echo $?";
    let Some(out) = on_small_disk(&data, script) else { return };
    assert_eq!(words(&out), ["4", "0"], "{}", out.stderr);
}

#[test]
fn limits_that_cannot_be_kept_cost_nothing() {
    let data = Data::new();
    let path = data.take("a.pcap", &pcap(&packets(0, 2_000)));
    let held = || data.rings().iter().map(|r| r.packets).sum::<u64>();
    for (flags, says) in [(["--max-bytes", "1KB"], "at least 1 MiB"), (["--min-free", "100000TB"], "ask for fewer")] {
        let refused = data.import_with(&flags, &[&path]).expect(WRONG_REQUEST);
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
        assert_eq!(held(), 2_000);
    }
    let more = data.file("a.pcap", &pcap(&packets(2_000, 10)));
    let kept = data.import_with(&["--max-bytes", "1MiB"], &[&more]).expect(WHOLE);
    assert!(kept.stderr.contains("packets of older segments were dropped to keep --max-bytes"), "{}", kept.stderr);
    let more = data.file("a.pcap", &pcap(&packets(3_000, 5_000)));
    let own = data.import_with(&[], &[&more]).expect(NOT_WHOLE);
    assert!(own.stderr.contains("packets of this very import were dropped to keep --max-bytes"), "{}", own.stderr);
}
