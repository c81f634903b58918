//! Every capture of the corpus and of our own: all of it comes out as it went in, random selections equal a plain scan, hosts and
//! filters equal tcpdump's, and the tools read what is written.

use crate::layers::Headers;
use crate::make::Random;
use crate::plain::{self, File, Packet};
use crate::scan::{self, Net, Selection, difference, essence, headers, sorted};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, WHOLE, WRONG_REQUEST, corpus, has_tool, tool, tools_accept};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Random selections a capture.
const SELECTIONS: usize = 8;
/// Filters a capture.
const FILTERS: usize = 4;

macro_rules! folders {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check_folder(stringify!($name));
        })*
        const FOLDERS: &[&str] = &[$(stringify!($name)),*];
    };
}

folders! { auth broken formats job lateral smb smb3 transport }

#[test]
fn no_folder_of_captures_is_left_out() {
    let Some(root) = corpus() else { return };
    for entry in std::fs::read_dir(root).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(FOLDERS.contains(&name.as_str()) || captures(&entry.path()).is_empty(), "{name} holds captures");
    }
}

#[test]
fn our_own_captures() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let all = captures(&own);
    assert!(!all.is_empty());
    for path in all {
        check(&path);
    }
}

/// The judge is judged too: on what tcpdump can say, the plain scan says the same.
#[test]
fn the_plain_scan_agrees_with_tcpdump() {
    let Some(root) = corpus() else { return };
    if !has_tool("tcpdump") {
        return;
    }
    let (mut files, mut hosts) = (0, 0);
    for path in captures(&root) {
        let source = plain::read(&path).unwrap();
        let data = Data::new();
        let raw = data.file("source.cap", &plain::unpacked(&std::fs::read(&path).unwrap()));
        if source.packets.is_empty() || !source.one_link() {
            continue;
        }
        let Some(all) = tcpdump(&raw, "") else { continue };
        if let Some(d) = difference(&sorted(&source.packets), &sorted(&all.packets)) {
            eprintln!("{}: tcpdump reads it otherwise: {d}", path.display());
            continue;
        }
        files += 1;
        let headers = headers(&source);
        if headers.iter().any(|h| h.nested || !h.known) {
            continue;
        }
        let mut addresses: Vec<_> = headers.iter().flat_map(|h| &h.layers).flat_map(|l| [l.src, l.dst]).flatten().collect();
        addresses.sort_unstable();
        addresses.dedup();
        for a in addresses.iter().take(8) {
            let all = if a.is_ipv4() { 32 } else { 128 };
            let selection = Selection { ips: vec![Net(*a, all)], ..Selection::default() };
            let want = tcpdump(&raw, &format!("host {a}")).unwrap();
            let have = scan::scan(&source, &headers, &selection);
            if let Some(d) = difference(&sorted(&want.packets), &sorted(have)) {
                panic!("{}: host {a}: {d}", path.display());
            }
            hosts += 1;
        }
    }
    assert!(files > 100 && hosts > 200, "{files} files and {hosts} hosts were compared");
}

fn check_folder(name: &str) {
    let Some(root) = corpus() else { return };
    let all = captures(&root.join(name));
    assert!(!all.is_empty(), "no captures in {name}");
    let mut seen = Compared::default();
    for path in &all {
        let (other, selected) = check(path);
        seen.hosts += other.hosts;
        seen.filters += other.filters;
        seen.packets += other.packets;
        seen.selected += selected;
    }
    // None of the comparisons was one of nothing with nothing throughout.
    let Compared { hosts, filters, packets, selected } = seen;
    assert!(
        hosts > 0 && filters > all.len() && packets > 0 && selected > all.len(),
        "{name}: {seen:?} of {} captures",
        all.len()
    );
}

/// How much was held against tcpdump, and selected by the plain scan.
#[derive(Default, Debug)]
struct Compared {
    /// Look-ups of hosts.
    hosts: usize,
    /// Filters that tcpdump took.
    filters: usize,
    /// Packets that tcpdump selected.
    packets: usize,
    /// Packets that the plain scan selected.
    selected: usize,
}

/// The captures under a folder, by content, sorted.
fn captures(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(captures(&path));
        } else if plain::read(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn check(path: &Path) -> (Compared, usize) {
    let name = path.display().to_string();
    let source = plain::read(path).unwrap();
    let headers = headers(&source);
    let data = Data::new();
    let import = data.import(&[path]);
    let expected = if source.damage.is_some() { NOT_WHOLE } else { WHOLE };
    assert_eq!(import.status, expected, "{name}: {:?}\n{}", source.damage, import.stderr);

    let all = data.cut_all();
    if source.packets.is_empty() {
        assert_eq!(all.status, NONE_MATCHED, "{name}");
    } else if source.damage.is_none() {
        // The file may tell itself that packets were dropped.
        let told = if source.drops { &["kernel_drops"][..] } else { &[] };
        assert_eq!(all.reasons(), told, "{name}: {}", all.coverage);
        assert_eq!(all.status, if source.drops { NOT_WHOLE } else { WHOLE }, "{name}");
    }
    if let Some(d) = difference(&sorted(&source.packets), &sorted(&all.file.packets)) {
        panic!("{name}: {d}");
    }
    in_time_order(&name, &all.file);
    same_order_and_options(path, &source, &all.file);
    assert_eq!(data.cut_all().bytes, all.bytes, "{name}: not the same bytes twice");

    tools_accept(&data.file("all.pcapng", &all.bytes), true);
    for (i, segment) in data.packet_files().iter().enumerate() {
        // One program start for each would take minutes; which get it changes from capture to capture.
        tools_accept(segment, (i + source.packets.len()).is_multiple_of(4));
    }

    // The same wherever the checkout lies.
    let own_name = path.file_name().map_or(0, |n| n.len() as u64);
    let mut r = Random(source.packets.len() as u64 ^ own_name);
    let mut selected = 0;
    for round in 0..SELECTIONS {
        let selection = scan::random(&mut r, &source, &headers);
        let cut = data.cut(&selection.words());
        let want = scan::scan(&source, &headers, &selection);
        if let Some(d) = difference(&sorted(want), &sorted(&cut.file.packets)) {
            panic!("{name}: {:?}: {d}", selection.words());
        }
        in_time_order(&name, &cut.file);
        selected += cut.file.packets.len();
        if round == 0 {
            let turn = source.packets.len() % 8;
            tools_accept(&data.file("some.pcapng", &cut.bytes), turn == 0);
            if source.one_link() {
                let mut words = selection.words();
                words.extend(["--format".to_owned(), "pcap".to_owned()]);
                let classic = data.cut(&words);
                assert!(sorted(&classic.file.packets) == sorted(&cut.file.packets), "{name}: {words:?}");
                tools_accept(&data.file("some.pcap", &classic.bytes), turn == 1);
            }
        }
    }
    (against_tcpdump(&mut r, &name, path, &source, &headers, &data), selected)
}

fn in_time_order(name: &str, file: &File) {
    assert!(file.packets.windows(2).all(|w| w[0].time <= w[1].time), "{name}: not in time order");
}

/// On each interface packets of one time keep their order, and all keep their comments and flags.
fn same_order_and_options(path: &Path, source: &File, cut: &File) {
    // Which number a nameless one among several gets is not the subject here.
    if source.interfaces.len() > 1 && source.interfaces.iter().any(|i| i.name.is_none()) {
        return;
    }
    let streams = |file: &File, named: bool| {
        let mut all: BTreeMap<(Option<String>, u16), Vec<Packet>> = BTreeMap::new();
        for p in &file.packets {
            let plain = Packet { interface: 0, untimed: false, ..p.clone() };
            all.entry((file.name(p).filter(|_| named), p.link)).or_default().push(plain);
        }
        all.values_mut().for_each(|packets| packets.sort_by_key(|p| p.time));
        all
    };
    let named = source.interfaces.iter().all(|i| i.name.is_some());
    assert!(streams(source, named) == streams(cut, named), "{}: order, comments or flags changed", path.display());
    if !named {
        let stem = path.file_stem().unwrap().to_string_lossy();
        for p in &cut.packets {
            assert!(cut.name(p).is_some_and(|n| stem.starts_with(n.as_str())), "{}: {:?}", path.display(), cut.name(p));
        }
    }
}

/// What `tcpdump -r` selects with a filter; `None` where it refuses.
fn tcpdump(file: &Path, filter: &str) -> Option<File> {
    let out = tool(
        "tcpdump",
        [
            "-n".as_ref(),
            "--time-stamp-precision=nano".as_ref(),
            "-r".as_ref(),
            file.as_os_str(),
            "-w".as_ref(),
            "-".as_ref(),
            filter.as_ref(),
        ],
    );
    if out.status == 0 { plain::parse(&out.stdout) } else { None }
}

const GENERAL: &[&str] = &[
    "tcp",
    "udp",
    "not tcp",
    "icmp or icmp6",
    "arp or rarp",
    "ip6",
    "ip and not udp",
    "tcp port 445",
    "port 53 or port 88",
    "portrange 1-1024",
    "tcp dst portrange 1024-65535",
    "greater 300",
    "less 100",
    "len > 60 and len < 500",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip[6:2] & 0x3fff != 0",
    "ip[8] < 100",
    "udp[4:2] > 40",
    "vlan",
    "vlan and tcp",
    "vlan 6 or vlan 10",
    "mpls",
    "mpls and ip",
    "pppoes and ip",
    "ether broadcast or ether multicast",
    "ip proto 47 or ip proto 4",
    "ip6 proto 17 or ip6 protochain 6",
    "link[0] & 1 = 0",
];

fn against_tcpdump(r: &mut Random, name: &str, path: &Path, source: &File, headers: &[Headers], data: &Data) -> Compared {
    let mut seen = Compared::default();
    if source.packets.is_empty() || !source.one_link() || !has_tool("tcpdump") {
        return seen;
    }
    let raw = data.file("source.cap", &plain::unpacked(&std::fs::read(path).unwrap()));
    // libpcap reads fewer kinds of files than must be imported; where it reads this one otherwise, it is no judge.
    if tcpdump(&raw, "").is_none_or(|f| sorted(&f.packets) != sorted(&source.packets)) {
        return seen;
    }
    let nested = headers.iter().any(|h| h.nested);
    let addresses: Vec<_> = headers.iter().flat_map(|h| &h.layers).flat_map(|l| [l.src, l.dst]).flatten().collect();
    let mut agree = |words: &[&str], filter: &str| {
        match tcpdump(&raw, filter) {
            Some(want) => {
                *if words[0] == "--ip" { &mut seen.hosts } else { &mut seen.filters } += 1;
                seen.packets += want.packets.len();
                let cut = data.cut(words);
                if let Some(d) = difference(&sorted(&want.packets), &sorted(&cut.file.packets)) {
                    panic!("{name}: {words:?} against tcpdump {filter:?}: {d}");
                }
                // tcpdump goes by file order, a cut by time; at one time both keep the file's.
                let mut want: Vec<_> = want.packets.iter().map(essence).collect();
                want.sort_by_key(|e| e.0);
                if source.interfaces.len() == 1 {
                    assert!(want == cut.file.packets.iter().map(essence).collect::<Vec<_>>(), "{name}: {words:?}: order");
                }
            }
            None if words[0] == "--filter" => {
                let mut all = words.to_vec();
                all.extend(["-w", "-"]);
                data.run(&["cut"], &all).expect(WRONG_REQUEST).one_line();
            }
            None => {}
        }
    };
    if !addresses.is_empty() && !nested {
        for _ in 0..3 {
            let a = r.pick(&addresses).to_string();
            agree(&["--ip", &a], &format!("host {a}"));
        }
        let (a, b) = (r.pick(&addresses).to_string(), r.pick(&addresses).to_string());
        agree(&["--ip", &a, "--ip", &b], &format!("host {a} or host {b}"));
        let filter = *r.pick(&GENERAL[..18]);
        agree(&["--ip", &a, "--filter", filter], &format!("host {a} and ({filter})"));
    }
    for _ in 0..FILTERS {
        let filter = *r.pick(GENERAL);
        agree(&["--filter", filter], filter);
    }
    if !addresses.is_empty() {
        let (a, b) = (r.pick(&addresses).to_string(), r.pick(&addresses).to_string());
        for filter in [format!("host {a}"), format!("src host {a} or dst host {b}"), format!("host {a} and not host {b}")] {
            agree(&["--filter", &filter], &filter);
        }
    }
    seen
}
