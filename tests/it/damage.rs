//! Bytes flipped, files cut off and files gone: never a wrong packet, the other segments answer, the damage is named and mended.

use crate::make::{Made, Order, PcapNg, Random, SECOND, START, numbered, pcap, traffic};
use crate::plain::{self, File, Packet};
use crate::scan::{Essence, essence, sorted};
use crate::support::{Cut, Data, NOT_WHOLE, WHOLE, tools_accept};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A ring of several sealed segments, to be copied and spoilt.
struct Whole {
    data: Data,
    source: File,
    /// The packets of each packet file, which lie in the ring as ordinary pcapng.
    segments: Vec<(PathBuf, Vec<Packet>)>,
}

fn whole() -> Whole {
    let bytes = pcap(&traffic(90, 6_000, 1_000_000, 100));
    let data = Data::new();
    let path = data.file("t.pcap", &bytes);
    data.import_with(&["--segment-bytes", "192KiB"], &[&path]).expect(WHOLE);
    let segments: Vec<_> = data
        .packet_files()
        .into_iter()
        .map(|p| (p.strip_prefix(data.path()).unwrap().to_owned(), plain::read(&p).unwrap().packets))
        .collect();
    assert!(segments.len() >= 4, "only {} segments", segments.len());
    let source = plain::parse(&bytes).unwrap();
    let all: Vec<_> = segments.iter().flat_map(|s| &s.1).collect();
    assert!(sorted(all) == sorted(&source.packets), "the packet files hold the packets");
    Whole { data, source, segments }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Whole {
    fn copied(&self) -> Data {
        let data = Data::new();
        copy(&self.data.path(), &data.path());
        data
    }

    /// No packet that was not imported, none twice, and all of the segments other than `spoilt`. Whether the answer is whole.
    #[track_caller]
    fn sound(&self, cut: &Cut, spoilt: &Path, what: &str) -> bool {
        let mut left: HashMap<Essence<'_>, i64> = HashMap::new();
        for p in &self.source.packets {
            *left.entry(essence(p)).or_default() += 1;
        }
        for p in &cut.file.packets {
            let n = left.entry(essence(p)).or_default();
            *n -= 1;
            assert!(*n >= 0, "{what}: a packet that is not in the source, or twice: {:?}", essence(p));
        }
        let stem = spoilt.with_extension("");
        for (path, packets) in &self.segments {
            if path.with_extension("") != stem {
                for p in packets {
                    assert!(left[&essence(p)] <= 0, "{what}: a packet of another segment is missing");
                }
            }
        }
        assert!(cut.file.packets.windows(2).all(|w| w[0].time <= w[1].time), "{what}: not in time order");
        let whole = cut.file.packets.len() == self.source.packets.len();
        if !whole {
            assert_eq!(cut.status, NOT_WHOLE, "{what}: a part is missing and nothing says so");
            let named = cut.reasons().iter().any(|r| r == "damaged" || r == "io_error");
            assert!(named, "{what}: the damage is not named: {}", cut.coverage);
        }
        whole
    }

    /// Spoils `file` in a copy and looks at what is answered, checked and mended. `index` is what a repair can make anew.
    #[track_caller]
    fn trial(&self, file: &Path, index: bool, what: &str, spoil: impl Fn(&Path)) {
        let data = self.copied();
        let what = format!("{}: {what}", file.display());
        spoil(&data.path().join(file));
        self.sound(&data.cut_all(), file, &what);
        // A look-up goes other ways through the index than a scan.
        let some = data.cut(&["--port", "445"]);
        let want: Vec<_> = self.data.cut(&["--port", "445"]).file.packets;
        let mut have = sorted(&some.file.packets);
        have.retain(|e| sorted(&want).binary_search(e).is_err());
        assert!(have.is_empty(), "{what}: a look-up gives packets that do not match");
        if some.file.packets.len() < want.len() {
            assert_ne!(some.status, WHOLE, "{what}: a look-up misses packets and does not say so");
        }

        let check = data.run(&["ring", "check"], &[]);
        assert_ne!(check.status, WHOLE, "{what}: the check finds nothing");
        let stem = file.file_stem().unwrap().to_string_lossy();
        let said = format!("{}{}", String::from_utf8_lossy(&check.stdout), check.stderr);
        assert!(said.contains(&*stem), "{what}: the segment is not named: {said}");
        data.run(&["ring", "check"], &["--repair"]);
        let again = data.run(&["ring", "check"], &[]);
        assert_eq!(again.status, WHOLE, "{what}: not clean after repair: {}", again.stderr);
        let whole = self.sound_after_repair(&data, file, &what);
        if file.extension().is_some_and(|x| x == "pcapng") && whole {
            tools_accept(&data.path().join(file), false);
        }
        assert!(whole || !index, "{what}: an index can be made anew from its packets");
    }

    #[track_caller]
    fn sound_after_repair(&self, data: &Data, file: &Path, what: &str) -> bool {
        let cut = data.cut_all();
        self.sound(&cut, file, &format!("{what}, after repair"))
    }
}

fn flip(path: &Path, at: u64, mask: u8) {
    let f = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    f.read_exact_at(&mut byte, at).unwrap();
    f.write_all_at(&[byte[0] ^ mask], at).unwrap();
}

fn flips(index: bool, trials: u64, seed: u64) {
    let whole = whole();
    let root = whole.data.path();
    let files = if index { whole.data.index_files() } else { whole.data.packet_files() };
    assert!(!files.is_empty());
    let mut r = Random(seed);
    for trial in 0..trials {
        let path = r.pick(&files);
        let len = std::fs::metadata(path).unwrap().len();
        // Heads and tails matter most and would be met seldom.
        let at = match trial % 4 {
            0 => r.below(len.min(128)),
            1 => len - 1 - r.below(len.min(128)),
            _ => r.below(len),
        };
        let mask = 1 << r.below(8);
        let file = path.strip_prefix(&root).unwrap();
        whole.trial(file, index, &format!("byte {at} of {len} with {mask:#04x}"), |p| flip(p, at, mask));
    }
}

#[test]
fn flipped_bytes_in_packet_files() {
    flips(false, 40, 91);
}

#[test]
fn flipped_bytes_in_index_files() {
    flips(true, 60, 92);
}

#[test]
fn zeroed_and_scribbled_pages() {
    let whole = whole();
    let root = whole.data.path();
    let mut r = Random(93);
    for index in [false, true] {
        let files = if index { whole.data.index_files() } else { whole.data.packet_files() };
        for _ in 0..8 {
            let path = r.pick(&files);
            let len = std::fs::metadata(path).unwrap().len();
            let at = r.below(len.div_ceil(4096)) * 4096;
            let fill: Vec<u8> = if r.one_in(2) { vec![0; 4096] } else { (0..4096).map(|_| r.next() as u8).collect() };
            let fill = &fill[..fill.len().min((len - at) as usize)];
            whole.trial(path.strip_prefix(&root).unwrap(), index, &format!("a page at {at} of {len}"), |p| {
                OpenOptions::new().write(true).open(p).unwrap().write_all_at(fill, at).unwrap();
            });
        }
    }
}

#[test]
fn files_cut_off() {
    let whole = whole();
    let root = whole.data.path();
    let mut r = Random(94);
    for index in [false, true] {
        let files = if index { whole.data.index_files() } else { whole.data.packet_files() };
        for trial in 0..10 {
            let path = r.pick(&files);
            let len = std::fs::metadata(path).unwrap().len();
            let to = match trial {
                0 => 0,
                1 => len - 1,
                2 => 1,
                _ => r.below(len),
            };
            whole.trial(path.strip_prefix(&root).unwrap(), index, &format!("cut to {to} of {len}"), |p| {
                OpenOptions::new().write(true).open(p).unwrap().set_len(to).unwrap();
            });
        }
    }
}

#[test]
fn files_gone() {
    let whole = whole();
    let root = whole.data.path();
    for index in [false, true] {
        let files = if index { whole.data.index_files() } else { whole.data.packet_files() };
        for path in files.iter().take(3) {
            whole.trial(path.strip_prefix(&root).unwrap(), index, "gone", |p| std::fs::remove_file(p).unwrap());
        }
    }
}

#[test]
fn files_exchanged_between_segments() {
    let whole = whole();
    let root = whole.data.path();
    let files = whole.data.index_files();
    let other = files.last().unwrap().clone();
    whole.trial(files[0].strip_prefix(&root).unwrap(), true, "the index of another segment", |p| {
        std::fs::copy(&other, p).unwrap();
    });
}

#[test]
fn foreign_files_in_a_ring_are_left_alone() {
    let whole = whole();
    let data = whole.copied();
    let ring = data.path().join(&whole.segments[0].0);
    let ring = ring.parent().unwrap();
    for (name, bytes) in [("notes.txt", &b"mine"[..]), ("README", b""), ("capture.pcapng", b"not one"), (".hidden", b"x")] {
        std::fs::write(ring.join(name), bytes).unwrap();
    }
    std::fs::create_dir(ring.join("folder.pcapng")).unwrap();
    let cut = data.cut_all();
    assert_eq!(cut.file.packets.len(), whole.source.packets.len());
    data.run(&["ring", "check"], &["--repair"]);
    assert_eq!(std::fs::read(ring.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_damaged_ring_takes_further_imports() {
    let whole = whole();
    let data = whole.copied();
    let file = &whole.segments[1].0;
    let path = data.path().join(file);
    flip(&path, std::fs::metadata(&path).unwrap().len() / 2, 0x10);
    let next: Vec<_> = (0..50).map(|n| Made::new(START + 3_600 * SECOND + n, numbered("10.7.7.7", "10.7.7.8", n, 20))).collect();
    let next = data.file("next.pcap", &pcap(&next));
    data.import_with(&["--interface", &data.rings()[0].interface], &[&next]).expect(WHOLE);
    assert_eq!(data.cut(&["--ip", "10.7.7.7"]).file.packets.len(), 50);
}

/// Packets of two hosts, each in a section of its own with its secrets.
fn two_sections() -> Data {
    let mut f = PcapNg::new(Order::Little);
    for (n, host) in [(1, "10.0.0.1"), (2, "10.0.0.2")] {
        if n == 2 {
            f.section(Order::Little, &[]);
        }
        f.interface(1, Some(b"eth0"));
        f.secrets(&format!("CLIENT_RANDOM {n}"));
        (0..5).for_each(|i| f.packet(0, &Made::new(START + n * SECOND + i, numbered(host, "10.0.0.9", i, 100))));
    }
    let data = Data::new();
    data.take("two.pcapng", &f.bytes);
    data
}

fn secrets(cut: &Cut) -> Vec<u64> {
    let holds = |n: &u64| {
        let text = format!("CLIENT_RANDOM {n}");
        cut.bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    [1, 2].into_iter().filter(holds).collect()
}

#[test]
fn no_packet_gets_the_secrets_of_another_section() {
    let data = two_sections();
    assert_eq!(secrets(&data.cut(&["--ip", "10.0.0.1"]).expect(WHOLE)), [1]);
    let index = data.index_files().remove(0);
    let len = std::fs::metadata(&index).unwrap().len();
    // The page of tables first, of which only the index's footer would still tell; then the whole index.
    for at in [9, len - 300] {
        flip(&index, at, 4);
        let said = data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        assert!(at != 9 || said.stderr.contains("secrets"), "{}", said.stderr);
        for host in ["10.0.0.1", "10.0.0.2"] {
            let cut = data.cut(&["--ip", host]).expect(WHOLE);
            assert_eq!((cut.file.packets.len(), secrets(&cut)), (5, vec![]));
        }
    }
    let one = two_sections();
    std::fs::remove_file(one.index_files().remove(0)).unwrap();
    one.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert_eq!(secrets(&one.cut_all()), [0; 0]);
}

#[test]
fn packets_of_one_section_keep_it_without_index() {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    f.secrets("CLIENT_RANDOM 1");
    (0..5).for_each(|i| f.packet(0, &Made::new(START + i, numbered("10.0.0.1", "10.0.0.9", i, 100))));
    let data = Data::new();
    data.take("one.pcapng", &f.bytes);
    std::fs::remove_file(data.index_files().remove(0)).unwrap();
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert_eq!(secrets(&data.cut_all().expect(WHOLE)), [1]);
}

#[test]
fn a_changed_secret_is_not_handed_out() {
    let data = two_sections();
    let folder = data.index_files()[0].parent().unwrap().join("sections");
    let file = folder.join("0000000001.blocks");
    let bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|w| w == b"CLIENT_R").unwrap();
    flip(&file, at as u64 + 2, 1);
    let cut = data.cut_all().expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), secrets(&cut), cut.reasons()), (10, vec![2], vec!["damaged".to_owned()]));
    assert!(cut.coverage.to_string().contains("0000000001.blocks"), "{}", cut.coverage);
    data.cut(&["--ip", "10.0.0.2"]).expect(WHOLE);
    assert_ne!(data.run(&["ring", "check"], &[]).status, WHOLE);
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    assert!(
        folder.join("0000000001.blocks.damaged").exists() && std::fs::read(&file).unwrap().len() == 24,
        "it says nothing now"
    );
    assert_eq!(secrets(&data.cut_all().expect(WHOLE)), [2]);
}

#[test]
fn rings_count_the_segments_that_a_repair_gave_something_up_in() {
    let whole = whole();
    let data = whole.copied();
    let damaged = || data.rings()[0].json["damaged_segments"].as_u64().unwrap();
    for (n, (file, _)) in whole.segments.iter().take(2).enumerate() {
        assert_eq!(damaged(), n as u64);
        let path = data.path().join(file);
        flip(&path, std::fs::metadata(&path).unwrap().len() / 2, 4);
        data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        assert_eq!(damaged(), n as u64 + 1);
    }
}

#[test]
fn a_section_that_is_gone_is_named() {
    let gone = |data: &Data, packets: usize, left: Vec<u64>| {
        let file = data.index_files()[0].parent().unwrap().join("sections/0000000001.blocks");
        for lost in [false, true] {
            // Cut down to nothing, and gone.
            if lost {
                std::fs::remove_file(&file).unwrap();
            } else {
                std::fs::write(&file, b"").unwrap();
            }
            let cut = data.cut_all().expect(NOT_WHOLE);
            assert_eq!(
                (cut.file.packets.len(), secrets(&cut), cut.reasons()),
                (packets, left.clone(), vec!["damaged".to_owned()])
            );
            assert!(cut.coverage.to_string().contains("0000000001.blocks"), "{}", cut.coverage);
            let check = data.run(&["ring", "check"], &[]);
            assert!(check.status != WHOLE && check.stderr.contains("0000000001.blocks"), "{}", check.stderr);
        }
        data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        assert_eq!(data.cut_all().expect(WHOLE).file.packets.len(), packets);
    };
    gone(&two_sections(), 10, vec![2]);
    // Nobody can tell any more that it said nothing.
    let data = Data::new();
    data.take("one.pcap", &pcap(&traffic(98, 50, 1_000_000, 20)));
    gone(&data, 50, vec![]);
}

#[test]
fn damage_around_the_packets_is_found_and_mended() {
    let data = Data::new();
    let path = data.file("t.pcap", &pcap(&traffic(95, 300, 1_000_000, 100)));
    data.import(&[&path]).expect(WHOLE);
    let packets = data.packet_files().remove(0);
    let ring = packets.parent().unwrap();
    let head = u64::from_le_bytes([std::fs::read(&packets).unwrap()[4], 0, 0, 0, 0, 0, 0, 0]);
    let whole = std::fs::read(&packets).unwrap();
    let entry = std::fs::read(ring.join("hosts/0")).unwrap();
    let len = whole.len() as u64;
    let trials = (0..head + 20).step_by(3).chain((len - 88..len).step_by(3)).map(|at| ("packets", at));
    for (what, at) in trials.chain((512..1024).step_by(67).map(|at| ("hosts", at))) {
        let file = if what == "hosts" { ring.join("hosts/0") } else { packets.clone() };
        flip(&file, at, 1 << (at % 8));
        assert_eq!(data.cut_all().expect(WHOLE).file.packets.len(), 300, "{what} {at}: no packet is lost");
        let said = data.run(&["ring", "check"], &[]);
        assert_ne!(said.status, WHOLE, "{what}: a flip at {at} is not found");
        assert!(said.stderr.contains(&file.display().to_string()), "{}", said.stderr);
        data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        assert!(
            std::fs::read(&packets).unwrap() == whole && std::fs::read(ring.join("hosts/0")).unwrap() == entry,
            "{what} {at}"
        );
    }
}

#[test]
fn a_damaged_mark_stops_no_ring_and_is_made_anew() {
    let long = "very/long/".repeat(40);
    let data = Data::new();
    let path = data.file("t.pcap", &pcap(&traffic(96, 100, 1_000_000, 100)));
    for name in ["eth0", "a/b", &long] {
        data.import_with(&["--interface", name], &[&path]).expect(WHOLE);
    }
    let marks = || {
        let rings = std::fs::read_dir(data.path().join("rings")).unwrap().flatten();
        rings.map(|ring| ring.path().join("ring.json")).collect::<Vec<_>>()
    };
    assert_eq!(marks().len(), 3);
    for text in [&b"{"[..], b"\xff", b"{\"layout\": 1, \"interface\": \"eth7\"}"] {
        marks().iter().for_each(|mark| std::fs::write(mark, text).unwrap());
        assert_eq!(data.cut_all().expect(WHOLE).file.packets.len(), 300);
        let check = data.run(&["ring", "check"], &[]);
        assert_ne!(check.status, WHOLE);
        assert_eq!(check.stderr.matches("ring.json is damaged").count(), 3, "{}", check.stderr);
        // A writer would lose the limits without a word.
        let import = data.import_with(&["--interface", "eth0"], &[&path]);
        assert!(import.status != WHOLE && import.stderr.contains("--repair"), "{}", import.stderr);
        data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
    }
    let mark = data.path().join("taploop.json");
    let before: serde_json::Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
    std::fs::write(&mark, "{").unwrap();
    assert!(data.run(&["cut"], &["-w", "-"]).stderr.contains("ring check --repair"));
    assert_ne!(data.run(&["ring", "check"], &[]).status, WHOLE);
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert_eq!(before, serde_json::from_slice::<serde_json::Value>(&std::fs::read(&mark).unwrap()).unwrap());
    assert_eq!(data.cut_all().expect(WHOLE).file.packets.len(), 300);
}

/// All files and folders below one, with what they hold and when they were changed.
fn everything(path: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut all = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let changed = |p: &Path| std::fs::metadata(p).unwrap().modified().unwrap();
        all.push((folder.clone(), Vec::new(), changed(&folder)));
        for path in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.push((path.clone(), bytes, changed(&path)));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_check_without_repair_changes_nothing() {
    let data = two_sections();
    let ring = data.index_files()[0].parent().unwrap().to_path_buf();
    let index = data.index_files().remove(0);
    flip(&index, std::fs::metadata(&index).unwrap().len() - 100, 1);
    // Not even the lock, which is held meanwhile, or is not there.
    for held in [true, false] {
        let lock = std::fs::File::open(ring.join("lock")).unwrap();
        if held {
            lock.lock_shared().unwrap();
        } else {
            std::fs::remove_file(ring.join("lock")).unwrap();
        }
        let before = everything(&data.path());
        let check = data.run(&["ring", "check"], &[]);
        assert!(check.status != WHOLE && check.stderr.contains("checksum"), "{}", check.stderr);
        assert!(before == everything(&data.path()));
    }
}

#[test]
fn segments_that_were_dropped_stay_dropped() {
    let data = Data::new();
    let path = data.file("t.pcap", &pcap(&traffic(97, 6_000, 1_000_000, 300)));
    let limits = ["--segment-bytes", "64KiB", "--max-bytes", "1MiB"];
    data.import_with(&limits, &[&path]).expect(NOT_WHOLE);
    let files = data.packet_files();
    assert!(!files[0].ends_with("0000000001.pcapng"), "some were dropped");
    let catalog = files[0].parent().unwrap().join("catalog");
    let (all, whole) = (data.cut_all(), std::fs::read(&catalog).unwrap());
    let last = whole.len() as u64 - 100;
    for at in [1026, 2050, 1040, 2064, last] {
        flip(&catalog, at, 8);
        let cut = data.cut_all();
        assert_eq!(cut.file.packets.len(), all.file.packets.len(), "{at}");
        assert_eq!(cut.status, if at == last { NOT_WHOLE } else { all.status }, "{at}: {}", cut.coverage);
        assert!(at == last || cut.reasons() == all.reasons(), "{at}: {}", cut.coverage);
        let check = data.run(&["ring", "check"], &[]);
        assert!(check.status != WHOLE && check.stderr.contains("the catalogue is damaged"), "{at}: {}", check.stderr);
        assert!(!check.stderr.contains("packets are lost"), "{at}: {}", check.stderr);
        data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        assert_eq!(data.cut_all().file.packets.len(), all.file.packets.len(), "{at}");
        std::fs::write(&catalog, &whole).unwrap();
    }
    // A further import goes on from there without a repair, too.
    let sequence = |at: usize| u64::from_le_bytes(*whole[at..].first_chunk().unwrap());
    flip(&catalog, if sequence(1024) > sequence(2048) { 1026 } else { 2050 }, 8);
    data.import_with(&limits, &[&path]).expect(NOT_WHOLE);
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
}
