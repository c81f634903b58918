//! What is recorded is what tcpdump records on the same link at the same time: the same packets, byte for byte.

use crate::make::{Random, addr, ethernet, ethernet_ip, frame, ip, ip4_fragment, udp, v4};
use crate::net::{HERE, Link, RECORDED, Tcpdump, state};
use crate::plain::{File, Packet};
use crate::support::{Cut, Data, WHOLE, tools_accept};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

/// What the last frame ends with.
const END: &[u8] = b"this is the end of what is sent";
/// The times of two sockets for one packet can be so far apart, if the machine was taken away in between.
const APART_NS: u64 = 500_000_000;

/// The last frame.
fn end() -> Vec<u8> {
    ethernet_ip(&[], &ip(addr("10.0.0.254"), addr("10.0.0.253"), 17, &udp(4000, 53, END)))
}

fn is_end(p: &Packet) -> bool {
    p.data.ends_with(END)
}

/// Frames of every kind and size that a link with jumbo frames takes.
fn frames(seed: u64, count: u64) -> Vec<Vec<u8>> {
    let mut r = Random(seed);
    let mut all = Vec::new();
    for n in 0..count {
        let number = n.to_be_bytes();
        let sized = |len: usize| -> Vec<u8> { number.iter().copied().cycle().take(len).collect() };
        all.push(match r.below(16) {
            // Nothing but a header, or little more.
            0 => ethernet(&[], 0x88b5, &sized(r.below(9) as usize)),
            1 => ethernet(&[], 0x88b5, &sized(8 + r.below(40) as usize)),
            // As large as may be, on a common link and on this one.
            2 => ethernet(&[], 0x88b5, &sized(1500)),
            3 if n.is_multiple_of(4) => ethernet(&[], 0x88b5, &sized(9000)),
            4 if n.is_multiple_of(4) => ethernet(&[0x2007], 0x88b5, &sized(9000)),
            // A tag of priority only, two tags, two of the same kind, and three.
            5 => ethernet(&[0xe000], 0x0800, &ip(addr("10.0.0.1"), addr("10.0.0.2"), 17, &udp(1, 2, &number))),
            6 => ethernet(&[100, 4094], 0x0800, &ip(addr("10.0.0.1"), addr("10.0.0.2"), 17, &udp(1, 2, &sized(300)))),
            7 => {
                let inner = ethernet(&[200], 0x88b5, &sized(100));
                ethernet(&[300], 0x8100, &inner[14..])
            }
            8 => ethernet(&[1, 2, 3], 0x88b5, &sized(64)),
            9 => {
                let more = r.one_in(2);
                let offset = if more { 0 } else { 1480 };
                ethernet_ip(&[], &ip4_fragment(v4("10.0.0.1"), v4("10.0.0.2"), 17, n as u16, offset, more, &sized(1480)))
            }
            10 => ethernet_ip(&[], &ip(addr("2001:db8::1"), addr("2001:db8::2"), 17, &udp(53, 53, &sized(1200)))),
            _ => frame(&mut r, n, 500),
        });
    }
    all
}

/// Sends frames in both directions, and the last one to the recorded interface.
fn send(link: &Link, frames: &[Vec<u8>]) {
    let (to, from) = (link.sender(), link.own_sender());
    for (n, frame) in frames.iter().enumerate() {
        if n % 3 == 0 { from.send(frame) } else { to.send(frame) }
    }
    to.send(&end());
}

/// The same link as recorded by both.
struct Both {
    data: Data,
    ours: Cut,
    theirs: File,
}

fn side_by_side(interface: &str, flags: &[&str], tcpdump: &[&str], traffic: impl FnOnce(&Link)) -> Option<Both> {
    let link = Link::new()?;
    link.set("lo", "up");
    let data = Data::new();
    let dump = Tcpdump::start(&link, data.outside(), interface, tcpdump)?;
    let recorder = link.record_interfaces(&data, &[interface], flags);
    traffic(&link);
    let theirs = dump.stop_after("tcpdump has the last packet", is_end);
    // What was sent before it is told to stop is recorded.
    recorder.stop();
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    let ours = data.cut_all().expect(WHOLE);
    Some(Both { data, ours, theirs })
}

type Entry<'a> = (&'a [u8], u32, u64);

/// Packets by their bytes, lengths and times.
fn sorted(file: &File) -> Vec<Entry<'_>> {
    let mut all: Vec<Entry<'_>> = file.packets.iter().map(|p| (&p.data[..], p.orig_len, p.time)).collect();
    all.sort_unstable();
    all
}

impl Both {
    /// The multisets are equal, times are nearly, and the cut is in time order. How many packets there are.
    #[track_caller]
    fn are_equal(&self, what: &str) -> usize {
        let (ours, theirs) = (sorted(&self.ours.file), sorted(&self.theirs));
        let differs = ours.iter().zip(&theirs).position(|(a, b)| (a.0, a.1) != (b.0, b.1));
        let short = |e: Option<&Entry<'_>>| e.map(|e| (e.0.len(), e.1, e.0[..e.0.len().min(60)].to_vec()));
        if let Some(i) = differs {
            panic!(
                "{what}: number {i} of {} and {}: {:x?} is not {:x?}",
                ours.len(),
                theirs.len(),
                short(ours.get(i)),
                short(theirs.get(i))
            );
        }
        assert_eq!(ours.len(), theirs.len(), "{what}: recorded, and recorded by tcpdump");
        let apart = ours.iter().zip(&theirs).map(|(a, b)| a.2.abs_diff(b.2)).max().unwrap();
        assert!(apart < APART_NS, "{what}: times are up to {apart} ns apart");
        assert!(ours.iter().any(|p| p.2 % 1000 != 0), "{what}: times have nanoseconds");
        assert!(self.ours.file.packets.windows(2).all(|w| w[0].time <= w[1].time), "{what}: in time order");
        let [interface] = &self.ours.coverage["interfaces"].as_array().unwrap()[..] else { panic!("one interface") };
        assert_eq!(interface["packets"], ours.len(), "{what}: {interface}");
        let [ring] = &self.data.rings()[..] else { panic!("one ring") };
        assert_eq!((ring.packets, ring.json["drops"].as_u64()), (ours.len() as u64, Some(0)), "{what}");
        let told = state(&self.data, &ring.interface).unwrap();
        assert_eq!(told["packets"], ours.len(), "{what}: the recorder counted them to the end: {told}");
        ours.len()
    }
}

#[test]
fn frames_of_every_kind_through_many_segments() {
    let sent = frames(1, 8_000);
    let Some(both) = side_by_side(RECORDED, &["--segment-bytes", "64KiB"], &[], |link| send(link, &sent)) else { return };
    assert_eq!(both.are_equal("small segments"), sent.len() + 1);
    let files = both.data.packet_files();
    assert!(files.len() > 20, "{} segments", files.len());
    tools_accept(&files[0], true);
    tools_accept(&files[files.len() - 1], true);
}

#[test]
fn frames_of_every_kind_over_two_threads_of_packet_sockets() {
    let sent = frames(2, 8_000);
    let flags = ["--fanout", "2", "--segment-bytes", "256KiB"];
    let Some(both) = side_by_side(RECORDED, &flags, &[], |link| send(link, &sent)) else { return };
    assert_eq!(both.are_equal("fan-out"), sent.len() + 1);
}

#[test]
fn frames_of_every_kind_through_libpcap() {
    let sent = frames(3, 8_000);
    let flags = ["--capture", "libpcap", "--segment-bytes", "1MiB"];
    let Some(both) = side_by_side(RECORDED, &flags, &[], |link| send(link, &sent)) else { return };
    assert_eq!(both.are_equal("libpcap"), sent.len() + 1);
}

/// A real connection, whose packets are far larger than the link allows, because devices are trusted to cut them.
#[test]
fn packets_that_are_to_be_cut_by_the_device() {
    for flags in [&["--segment-bytes", "1MiB"][..], &["--fanout", "2"], &["--capture", "libpcap"]] {
        let both = side_by_side(RECORDED, flags, &[], |link| {
            link.address();
            let listener = link.here(|| TcpListener::bind((HERE, 445)).unwrap());
            let mut client = link.there(|| TcpStream::connect((HERE, 445)).unwrap());
            let (mut server, _) = listener.accept().unwrap();
            let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n / 7) as u8).collect();
            std::thread::scope(|s| {
                s.spawn(|| client.write_all(&bytes).unwrap());
                let mut got = vec![0; bytes.len()];
                server.read_exact(&mut got).unwrap();
                assert!(got == bytes);
            });
            // Both ends close, and have done so before the last packet.
            drop(client);
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            drop(server);
            let closed = || {
                std::fs::read_to_string("/proc/thread-self/net/tcp")
                    .unwrap()
                    .lines()
                    .all(|l| !l.contains(":01BD") || l.contains(" 0A "))
            };
            crate::support::eventually("the connection is over", || link.here(closed).then_some(()));
            link.sender().send(&end());
        });
        let Some(both) = both else { return };
        both.are_equal("a connection");
        let largest = both.ours.file.packets.iter().map(|p| p.data.len()).max().unwrap();
        assert!(largest > 16_384, "{flags:?}: the largest packet has {largest} bytes");
        assert!(both.ours.file.packets.iter().all(|p| p.data.len() == p.orig_len as usize));
    }
}

#[test]
fn packets_longer_than_the_snap_length_are_cut_and_counted() {
    let sent = frames(4, 3_000);
    for backend in ["packet-socket", "libpcap"] {
        let flags = ["--snaplen", "100", "--capture", backend];
        let Some(both) = side_by_side(RECORDED, &flags, &["-s", "100"], |link| send(link, &sent)) else { return };
        both.are_equal(backend);
        let cut = both.ours.file.packets.iter().filter(|p| p.data.len() < p.orig_len as usize).count();
        assert_eq!(cut, sent.iter().filter(|f| f.len() > 100).count(), "{backend}");
        assert_eq!(both.ours.coverage["truncated_packets"], cut, "{backend}");
        assert_eq!(state(&both.data, RECORDED).unwrap()["truncated_packets"], cut, "{backend}");
    }
}

#[test]
fn a_filter_records_what_it_means_to_tcpdump() {
    let filter = "udp port 53 or vlan";
    let sent = frames(5, 4_000);
    for flags in [&[][..], &["--fanout", "2"], &["--capture", "libpcap"]] {
        let flags = [flags, &["--filter", filter]].concat();
        let Some(both) = side_by_side(RECORDED, &flags, &[filter], |link| send(link, &sent)) else { return };
        let matched = both.are_equal("a filter");
        assert!((sent.len() / 10..sent.len() / 2).contains(&matched), "{flags:?}: {matched} matched");
        let tagged = both.ours.file.packets.iter().filter(|p| p.data[12..14] == [0x81, 0]).count();
        assert!(tagged > 100, "{flags:?}: {tagged} have a tag");
    }
}

#[test]
fn the_loopback_interface_gives_each_packet_once() {
    for backend in ["packet-socket", "libpcap"] {
        let both = side_by_side("lo", &["--capture", backend], &[], |link| {
            link.here(|| {
                let to = UdpSocket::bind("127.0.0.1:0").unwrap();
                let from = UdpSocket::bind("127.0.0.1:0").unwrap();
                for n in 0..500_u64 {
                    let text = [&n.to_be_bytes()[..], &vec![7; n as usize * 20]].concat();
                    let text = if n + 1 < 500 { &text } else { END };
                    from.send_to(text, to.local_addr().unwrap()).unwrap();
                    // So that it is never full.
                    to.recv_from(&mut [0; 65_536]).unwrap();
                }
            });
        });
        let Some(both) = both else { return };
        assert_eq!(both.are_equal(backend), 500);
    }
}
