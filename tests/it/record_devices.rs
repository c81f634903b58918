//! Devices behind an interface's name: others, the same again, and none of the kernel's.

use crate::make::{addr, ethernet, ethernet_ip, ip, udp};
use crate::net::{Link, RECORDED, Recorder, state};
use crate::record_faults::{stretches, wait_for_link};
use crate::record_follow::{frame, numbers};
use crate::support::{Cut, Data, NOT_WHOLE, WHOLE, skip};
use rustix::process::Signal;

/// Every way of capturing.
const WAYS: [&[&str]; 3] = [&["--capture", "packet-socket", KEEP], &["--fanout", "2", KEEP], &["--capture", "libpcap", KEEP]];
/// So that nothing is dropped because the disk is nearly full.
const KEEP: &str = "--max-bytes=1GB";

/// Sends a hundred frames, and waits until they are recorded.
#[track_caller]
fn life(link: &Link, data: &Data, recorder: &mut Recorder, life: u64) {
    let sender = link.sender();
    (life * 100..life * 100 + 100).for_each(|n| sender.send(&frame(n)));
    recorder.wait_for("what was sent is recorded", || (data.rings()[0].packets == life * 100 + 100).then_some(()));
}

/// All packets of so many lives are there, and a gap is told between any two.
#[track_caller]
fn lives_with_gaps(data: &Data, lives: usize, what: &str) -> Cut {
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    let cut = data.cut_all().expect(NOT_WHOLE);
    let mut got = numbers(&cut.file);
    got.sort_unstable();
    assert_eq!(got, (0..lives as u64 * 100).collect::<Vec<_>>(), "{what}");
    assert_eq!(cut.reasons(), ["not_captured"], "{what}: {}", cut.coverage);
    let gaps = stretches(&cut, "not_captured");
    let times: Vec<u64> = cut.file.packets.iter().map(|p| p.time).collect();
    assert!(times.iter().all(|t| gaps.iter().all(|g| !g.contains(t))), "{what}: a packet came where nobody looked: {gaps:?}");
    for life in 1..lives {
        let between = times[life * 100 - 1]..times[life * 100];
        assert!(gaps.iter().any(|g| between.start < g.start && g.end <= between.end), "{what}: {between:?} is no gap: {gaps:?}");
    }
    cut
}

#[test]
fn a_device_that_comes_back_with_its_number_is_recorded_again() {
    for way in WAYS {
        let Some(link) = Link::unconnected() else { return };
        // One that the other namespace has not.
        let index = 77;
        link.connect_with_index(index);
        let data = Data::for_anyone();
        let mut recorder = link.record(&data, &[way, &["--user", "nobody"]].concat());
        life(&link, &data, &mut recorder, 0);
        link.move_away_and_back(|| wait_for_link(&mut recorder, &data, "missing"));
        assert_eq!(link.index(), index);
        wait_for_link(&mut recorder, &data, "up");
        life(&link, &data, &mut recorder, 1);
        link.disconnect();
        wait_for_link(&mut recorder, &data, "missing");
        link.connect_with_index(index);
        wait_for_link(&mut recorder, &data, "up");
        life(&link, &data, &mut recorder, 2);
        recorder.stop();
        lives_with_gaps(&data, 3, &format!("{way:?}"));
    }
}

/// Nobody looks while the device goes and another one comes.
#[test]
fn a_device_that_was_exchanged_unseen_is_recorded_and_the_gap_is_told() {
    for way in WAYS {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let mut recorder = link.record(&data, way);
        life(&link, &data, &mut recorder, 0);
        let index = link.index();
        for (turn, same) in [false, true].into_iter().enumerate() {
            recorder.signal(Signal::STOP);
            link.disconnect();
            if same {
                link.connect_with_index(index);
            } else {
                link.connect();
            }
            // Nobody listens, and so they are missing.
            let sender = link.sender();
            (0..50).for_each(|n| sender.send(&frame(n)));
            recorder.signal(Signal::CONT);
            let turn = turn as u64 + 1;
            let before = data.rings()[0].packets;
            // From some moment on it is recorded; the fifty may come before.
            let sender = link.sender();
            recorder.wait_for("it records again", || {
                sender.send(&frame(10_000 * turn));
                (data.rings()[0].packets > before + 55).then_some(())
            });
        }
        recorder.stop();
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        let cut = data.cut_all().expect(NOT_WHOLE);
        assert_eq!(cut.reasons(), ["not_captured"], "{way:?}: {}", cut.coverage);
        let gaps = stretches(&cut, "not_captured");
        let times = |n: u64| cut.file.packets.iter().filter(move |p| p.data == frame(n)).map(|p| p.time);
        for (before, after) in [(99, 10_000), (10_000, 20_000)] {
            let (from, to) = (times(before).max().unwrap(), times(after).min().unwrap());
            // Until all who share it listen again, packets come to some.
            let ends = |g: &std::ops::Range<u64>| if way.contains(&"--fanout") { g.start < to } else { g.end <= to };
            assert!(gaps.iter().any(|g| from < g.start && ends(g)), "{way:?}: {from} to {to} is no gap: {gaps:?}");
        }
    }
}

#[test]
fn a_device_with_another_name_is_left_and_a_new_one_of_the_name_is_recorded() {
    for way in WAYS {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let mut recorder = link.record(&data, way);
        life(&link, &data, &mut recorder, 0);
        // It stays up, and keeps its traffic.
        link.ip_here(&["link", "set", RECORDED, "name", "other0"]);
        wait_for_link(&mut recorder, &data, "missing");
        let sender = link.sender();
        (5_000..5_100).for_each(|n| sender.send(&frame(n)));
        // A new one of the name.
        link.ip_here(&["link", "add", RECORDED, "type", "veth", "peer", "name", "peer0"]);
        link.set(RECORDED, "up");
        link.set("peer0", "up");
        wait_for_link(&mut recorder, &data, "up");
        let to = link.here(|| crate::net::Sender::open("peer0"));
        (100..200).for_each(|n| to.send(&frame(n)));
        (6_000..6_100).for_each(|n| sender.send(&frame(n)));
        recorder.wait_for("what was sent is recorded", || (data.rings()[0].packets >= 200).then_some(()));
        recorder.stop();
        lives_with_gaps(&data, 2, &format!("{way:?}"));
    }
}

/// A TUN device, whose packets begin with IP, or with what the kernel is told that they begin with. It lives as long as this.
struct Tun(std::fs::File);

impl Tun {
    /// Makes it on the link's recorded side, and sets it up.
    fn new(link: &Link, name: &str, hardware: Option<libc::c_ulong>) -> Option<Tun> {
        use std::os::fd::AsRawFd;
        const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
        const TUNSETLINK: libc::Ioctl = 0x4004_54cd;
        // It belongs to the namespace that it was opened in.
        let opened = link.here(|| std::fs::File::options().read(true).write(true).open("/dev/net/tun"));
        let Ok(file) = opened else {
            skip("this user may not make a TUN device (/dev/net/tun)");
            return None;
        };
        link.here(|| {
            let mut request = [0_u8; 40];
            request[..name.len()].copy_from_slice(name.as_bytes());
            // IFF_TUN, IFF_NO_PI
            request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
            // SAFETY: the request reads and writes an ifreq, which has 40 bytes.
            assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) }, 0);
            if let Some(hardware) = hardware {
                // SAFETY: the request takes a number.
                assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETLINK, hardware) }, 0);
            }
        });
        link.set(name, "up");
        Some(Tun(file))
    }

    fn send(&self, packet: &[u8]) {
        std::io::Write::write_all(&mut &self.0, packet).unwrap();
    }
}

/// The filter is compiled before it is known what the packets begin with.
#[test]
fn a_filter_holds_for_whatever_the_interface_is_when_it_comes() {
    let Some(link) = Link::unconnected() else { return };
    link.set("lo", "up");
    let data = Data::for_anyone();
    let flags = ["--filter", "udp port 53", "--user", "nobody", KEEP];
    let mut recorder = link.record_interfaces(&data, &["tun1"], &flags);
    assert_eq!(state(&data, "tun1").unwrap()["link"], "missing");
    let Some(tun) = Tun::new(&link, "tun1", None) else { return };
    recorder.wait_for("the interface is up", || (state(&data, "tun1")?["link"] == "up").then_some(()));
    let packet = |n: u64| ip(addr("10.0.0.1"), addr("10.0.0.2"), 17, &udp(1000, 50 + n as u16 % 10, &n.to_be_bytes()));
    (0..100).for_each(|n| tun.send(&packet(n)));
    recorder.wait_for("what was sent is recorded", || (data.rings()[0].packets == 10).then_some(()));
    // A link of another kind, where the same means other bytes, also behind tags.
    drop(tun);
    recorder.wait_for("the interface is missing", || (state(&data, "tun1")?["link"] == "missing").then_some(()));
    link.ip_here(&["link", "add", "tun1", "type", "veth", "peer", "name", "peer1"]);
    link.set("tun1", "up");
    link.set("peer1", "up");
    recorder.wait_for("the interface is up", || (state(&data, "tun1")?["link"] == "up").then_some(()));
    let sender = link.here(|| crate::net::Sender::open("peer1"));
    (100..200).for_each(|n| sender.send(&ethernet_ip(&[], &packet(n))));
    recorder.wait_for("what was sent is recorded", || (data.rings()[0].packets == 20).then_some(()));
    recorder.stop();
    let cut = data.cut_all().expect(NOT_WHOLE);
    let mut got: Vec<Vec<u8>> = cut.file.packets.iter().map(|p| p.data.to_vec()).collect();
    let mut want: Vec<Vec<u8>> = (3..100).step_by(10).map(packet).collect();
    want.extend((103..200).step_by(10).map(|n| ethernet_ip(&[], &packet(n))));
    got.sort_unstable();
    want.sort_unstable();
    assert_eq!(got, want);
}

#[test]
fn a_filter_that_cannot_hold_for_the_interface_is_told_and_others_go_on() {
    let Some(link) = Link::new() else { return };
    link.set("lo", "up");
    let data = Data::new();
    let flags = ["--filter", "udp or vlan", KEEP];
    let mut recorder = link.record_interfaces(&data, &[RECORDED, "tun1"], &flags);
    let Some(_tun) = Tun::new(&link, "tun1", None) else { return };
    let trouble = recorder.wait_for("it is told", || Some(state(&data, "tun1")?["trouble"].as_str()?.to_owned()));
    assert!(trouble.contains("tun1") && trouble.contains("filter"), "{trouble}");
    let sender = link.sender();
    (0..100).for_each(|n| sender.send(&frame(n)));
    recorder.wait_for("what was sent is recorded", || (state(&data, RECORDED)?["packets"] == 100).then_some(()));
}

/// PPP: the kernel gives such packets without the header that tcpdump shows, which libpcap makes.
#[test]
fn an_interface_that_packet_sockets_do_not_suit_is_recorded_by_libpcap_and_no_other_ends() {
    const ARPHRD_PPP: libc::c_ulong = 512;
    for with_rights in [true, false] {
        let Some(link) = Link::new() else { return };
        let data = Data::for_anyone();
        let flags: &[&str] = if with_rights { &[KEEP] } else { &["--user", "nobody", KEEP] };
        let mut recorder = link.record_interfaces(&data, &[RECORDED, "t8"], flags);
        let Some(tun) = Tun::new(&link, "t8", Some(ARPHRD_PPP)) else { return };
        let packet = ip(addr("10.0.0.1"), addr("10.0.0.2"), 17, &udp(1000, 53, b"text"));
        if with_rights {
            recorder.wait_for("it is recorded", || {
                tun.send(&packet);
                (state(&data, "t8")?["packets"].as_u64()? > 0).then_some(())
            });
            let told = recorder.wait_for("trouble is over", || state(&data, "t8").filter(|s| s["trouble"].is_null()));
            assert_eq!(told["link"], "up");
        } else {
            let trouble = recorder.wait_for("it is told", || Some(state(&data, "t8")?["trouble"].as_str()?.to_owned()));
            assert!(trouble.contains("libpcap"), "{trouble}");
            // It is another one, which can be recorded again.
            drop(tun);
            link.ip_here(&["link", "add", "t8", "type", "veth", "peer", "name", "peer8"]);
            link.set("t8", "up");
            link.set("peer8", "up");
            let sender = link.here(|| crate::net::Sender::open("peer8"));
            recorder.wait_for("it is recorded", || {
                sender.send(&frame(0));
                (state(&data, "t8")?["packets"].as_u64()? > 0).then_some(())
            });
            recorder.wait_for("trouble is over", || state(&data, "t8").filter(|s| s["trouble"].is_null()));
        }
        let sender = link.sender();
        (0..100).for_each(|n| sender.send(&frame(n)));
        recorder.wait_for("what was sent is recorded", || (state(&data, RECORDED)?["packets"] == 100).then_some(()));
        recorder.stop();
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        let cut = data.cut(&["--interface", RECORDED]).expect(WHOLE);
        assert_eq!(numbers(&cut.file), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn libpcap_waits_for_an_interface_that_is_missing_and_then_down() {
    for flags in [&["--capture", "libpcap", KEEP][..], &["--capture", "libpcap", "--user", "nobody", KEEP]] {
        let Some(link) = Link::unconnected() else { return };
        let data = Data::for_anyone();
        let mut recorder = link.record(&data, flags);
        wait_for_link(&mut recorder, &data, "missing");
        link.connect();
        wait_for_link(&mut recorder, &data, "up");
        life(&link, &data, &mut recorder, 0);
        recorder.stop();
        link.set(RECORDED, "down");
        let mut recorder = link.record(&data, flags);
        wait_for_link(&mut recorder, &data, "down");
        link.set(RECORDED, "up");
        wait_for_link(&mut recorder, &data, "up");
        life(&link, &data, &mut recorder, 1);
        recorder.stop();
        lives_with_gaps(&data, 2, &format!("{flags:?}"));
    }
}

/// With the newer kind of header, as tcpdump.
#[test]
fn any_is_recorded_as_tcpdump_records_it() {
    let Some(link) = Link::new() else { return };
    link.set("lo", "up");
    let data = Data::new();
    let Some(dump) = crate::net::Tcpdump::start(&link, data.outside(), "any", &[]) else { return };
    let recorder = link.record_interfaces(&data, &["any"], &[KEEP]);
    let sender = link.sender();
    // Also such that have nothing but a header.
    let sent: Vec<Vec<u8>> =
        (0..300).map(|n| if n % 3 == 0 { ethernet(&[], 0x88b5, &[]) } else { frame(n) }).chain([frame(1_000)]).collect();
    sent.iter().for_each(|f| sender.send(f));
    let last = &sent[300][14..];
    let theirs = dump.stop_after("tcpdump has the last packet", |p| p.data.ends_with(last));
    recorder.stop();
    let ours = data.cut_all().expect(WHOLE).file;
    assert_eq!(data.rings()[0].interface, "any");
    let sorted = |file: &crate::plain::File| {
        let mut all: Vec<(Vec<u8>, u32)> = file.packets.iter().map(|p| (p.data.to_vec(), p.orig_len)).collect();
        all.sort_unstable();
        all
    };
    let (ours, theirs) = (sorted(&ours), sorted(&theirs));
    assert!(ours == theirs, "{} recorded, {} by tcpdump", ours.len(), theirs.len());
    assert_eq!(ours.iter().filter(|(data, _)| data.len() == 20).count(), 100, "a header of the newer kind has 20 bytes");
}
