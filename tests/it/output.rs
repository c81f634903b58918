//! Where output goes, and what is left behind when something goes wrong.

use crate::make::{Made, SECOND, START, numbered, pcapng};
use crate::support::{Data, FAILED, NOT_WHOLE, Running, WHOLE, WRONG_REQUEST, eventually, run_with, taploop};
use std::path::Path;
use std::process::{Command, Stdio};

fn few() -> Vec<Made> {
    (0..5).map(|n| Made::new(START + n * SECOND, numbered("10.0.0.1", "10.0.0.2", n, 40))).collect()
}

#[test]
fn a_mistyped_file_leaves_no_data_folder_behind() {
    let data = Data::new();
    let text = data.file("text.pcap", b"these are words and no capture");
    for bad in [Path::new("no-such-file.pcap"), &text, data.outside()] {
        let out = data.import(&[bad]).expect(WRONG_REQUEST);
        assert!(out.one_line().contains(bad.to_str().unwrap()), "{}", out.stderr);
        assert!(!data.path().exists(), "{}", bad.display());
    }
    let out = data.import(&[Path::new("no-such-file.pcap"), &text]).expect(WRONG_REQUEST);
    assert!(out.stderr.contains("no-such-file.pcap") && out.stderr.contains("text.pcap"), "{}", out.stderr);
    assert!(!data.path().exists());
}

#[test]
fn a_cut_that_is_interrupted_leaves_nothing_behind() {
    let data = Data::new();
    data.take("few.pcapng", &pcapng("eth0", &few()));
    let pipe = data.outside().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let before = std::fs::read_dir(data.outside()).unwrap().count();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        // It waits for the pipe's reader, with the cut's file open.
        let mut cut = data.command(&["cut"], &["-w", "cut.pcapng", "--coverage", "pipe"]);
        let cut = cut.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut cut = Running(cut);
        let pid = cut.0.id();
        eventually("the cut's file is open", || {
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let open: Vec<_> = fds.flatten().filter_map(|f| std::fs::read_link(f.path()).ok()).collect();
            open.iter().any(|p| p.starts_with(data.outside())).then_some(())
        });
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(cut.wait(), -1, "it ends by the signal");
        assert_eq!(std::fs::read_dir(data.outside()).unwrap().count(), before);
    }
}

#[test]
fn a_cut_and_its_coverage_do_not_replace_each_other() {
    let data = Data::new();
    data.take("few.pcapng", &pcapng("eth0", &few()));
    let outside = data.outside();
    std::os::unix::fs::symlink("cut.pcapng", outside.join("link")).unwrap();
    for exists in [false, true] {
        for other in ["./cut.pcapng", "link", "data/../cut.pcapng", outside.join("cut.pcapng").to_str().unwrap()] {
            let out = data.run(&["cut"], &["-w", "cut.pcapng", "--coverage", other]).expect(WRONG_REQUEST);
            assert!(out.one_line().contains("same file"), "{other}: {}", out.stderr);
            assert_eq!(outside.join("cut.pcapng").exists(), exists, "{other}");
        }
        std::fs::write(outside.join("cut.pcapng"), b"").unwrap();
    }
    // The shell has opened it already.
    let mut cut = data.command(&["cut"], &["--coverage", "cut.pcapng"]);
    let file = std::fs::File::create(outside.join("cut.pcapng")).unwrap();
    let status = cut.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(WRONG_REQUEST));
    data.run(&["cut"], &["-w", "/dev/null", "--coverage", "/dev/null"]).expect(WHOLE);
    data.run(&["cut"], &["-w", "cut.pcapng", "--coverage", "coverage.json"]).expect(WHOLE);
}

#[test]
fn flows_that_nobody_reads_are_not_a_whole_answer() {
    let data = Data::new();
    data.take("few.pcapng", &pcapng("eth0", &few()));
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let mut flows = data.command(&["flows"], &["--json"]);
    let flows = flows.stdin(Stdio::null()).stdout(std::os::fd::OwnedFd::from(ours)).stderr(Stdio::null());
    assert_eq!(flows.status().unwrap().code(), Some(NOT_WHOLE));
}

#[test]
fn a_damaged_catalogue_hides_nothing() {
    let data = Data::new();
    for name in ["eth0", "eth1", "eth2"] {
        data.take(&format!("{name}.pcapng"), &pcapng(name, &few()));
    }
    std::fs::write(data.path().join("rings/eth1/catalog"), b"not one").unwrap();
    for flags in [&[][..], &["--json"]] {
        let out = data.run(&["rings"], flags).expect(FAILED);
        assert!(out.stderr.contains("eth1") && out.stderr.contains("--repair"), "{}", out.stderr);
        let told = String::from_utf8_lossy(&out.stdout) + &*out.stderr;
        assert!(told.contains("eth0") && told.contains("eth2"), "{told}");
    }
    // The segments answer without it.
    let cut = data.cut_all().expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (15, vec!["damaged".to_owned()]));
    assert!(cut.coverage.to_string().contains("eth1/catalog"), "{}", cut.coverage);
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert_eq!(data.rings().len(), 3);
    data.cut_all().expect(WHOLE);
}

#[test]
fn limits_show_in_the_forecast() {
    let data = Data::new();
    let path = data.file("few.pcapng", &pcapng("eth0", &few()));
    data.import(&[&path]).expect(WHOLE);
    assert!(data.rings()[0].json["forecast"].is_null(), "no limit, no forecast");
    data.import_with(&["--max-age", "7d"], &[&path]).expect(WHOLE);
    let forecast = &data.rings()[0].json["forecast"];
    assert_eq!((&forecast["keeps_seconds"], &forecast["limited_by"]), (&(7 * 86_400).into(), &"age".into()), "{forecast}");
}

#[test]
fn the_log_is_asked_for_by_flag_or_environment() {
    let data = Data::new();
    data.take("few.pcapng", &pcapng("eth0", &few()));
    data.run(&["rings"], &["--log", "taploop=nonsense"]).expect(WRONG_REQUEST).one_line();
    let mut rings = taploop();
    rings.args(["rings", "--data"]).arg(data.path()).env("RUST_LOG", "taploop=nonsense");
    let out = run_with(rings, &[]).expect(WRONG_REQUEST);
    assert!(out.one_line().contains("RUST_LOG"), "{}", out.stderr);
}
