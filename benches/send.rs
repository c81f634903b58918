//! Sends a capture on an interface, faster than tcpreplay does: `cargo bench --bench send -- --interface tlb-a --file traffic.pcap --packets 1000000`.
//!
//! The file (classic pcap, little-endian) is read into memory and sent again and again, past the queueing discipline, until `--packets N`
//! are sent: N a second with `--rate N`, else as fast as it goes. `--new-flows` gives every IPv4 packet a source address of its own, so that
//! each is a flow of one packet. `--lead SECONDS` and `--tail SECONDS` send ten packets a second before and after; they come on top.
//! Prints two numbers: packets sent in all, and packets a second between lead and tail.

use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Packets handed to the kernel at once.
const BATCH: usize = 64;
const TRICKLE_EVERY: Duration = Duration::from_millis(100);
/// Shorter waits are spent spinning: the timer is no finer.
const SLEEP_MIN: Duration = Duration::from_micros(150);

struct Arguments {
    interface: String,
    file: String,
    packets: u64,
    rate: f64,
    lead: f64,
    tail: f64,
    new_flows: bool,
}

fn arguments() -> Result<Option<Arguments>> {
    let mut a = Arguments {
        interface: String::new(),
        file: String::new(),
        packets: 1,
        rate: 0.0,
        lead: 0.0,
        tail: 0.0,
        new_flows: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        match name.as_str() {
            // cargo bench adds this one.
            "--bench" => continue,
            "--new-flows" => {
                a.new_flows = true;
                continue;
            }
            _ => {}
        }
        let value = given.next().unwrap_or_default();
        let bad = || {
            let known = "--interface NAME, --file PCAP, --packets N, --rate N, --lead SECONDS, --tail SECONDS, --new-flows";
            Error::other(format!("{name} {value:?}: expected {known}"))
        };
        let number = || value.parse().ok().filter(|n: &f64| *n >= 0.0).ok_or_else(bad);
        match name.as_str() {
            "--interface" => a.interface = value.clone(),
            "--file" => a.file = value.clone(),
            "--packets" => a.packets = value.parse().map_err(|_| bad())?,
            "--rate" => a.rate = number()?,
            "--lead" => a.lead = number()?,
            "--tail" => a.tail = number()?,
            _ => return Err(bad()),
        }
    }
    // Without an interface there is nothing to do: `cargo bench` runs this along with all others.
    Ok((!a.interface.is_empty()).then_some(a))
}

/// The packets of a classic pcap file, as places in its bytes.
fn packets_of(bytes: &[u8]) -> Result<Vec<std::ops::Range<usize>>> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if !matches!(word(0), Some(0xa1b2_3c4d | 0xa1b2_c3d4)) {
        return Err(Error::other("no little-endian pcap file: benches/traffic.rs makes one"));
    }
    let mut all = Vec::new();
    let mut at = 24;
    while let Some(length) = word(at + 8) {
        let packet = at + 16..at + 16 + length as usize;
        at = packet.end;
        if at > bytes.len() {
            return Err(Error::other("the last packet of the file is not whole: make it anew"));
        }
        all.push(packet);
    }
    if all.is_empty() { Err(Error::other("a file without packets: make it anew")) } else { Ok(all) }
}

/// A packet socket that only sends.
fn open(interface: &str) -> Result<OwnedFd> {
    let name = std::ffi::CString::new(interface)?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: no pointers are passed. Protocol 0: nothing is received.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let set = |option: libc::c_int, level: libc::c_int, value: libc::c_int| {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `value` is an int that lives through the call, and its length is told.
        if unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) } == 0 {
            return Ok(());
        }
        Err(Error::last_os_error())
    };
    set(libc::PACKET_QDISC_BYPASS, libc::SOL_PACKET, 1)?;
    set(libc::SO_SNDBUFFORCE, libc::SOL_SOCKET, 64 << 20)?;
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    // SAFETY: `address` lives through the call, and its length is told.
    if unsafe { libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(socket)
}

struct Sender {
    socket: OwnedFd,
    bytes: Vec<u8>,
    packets: Vec<std::ops::Range<usize>>,
    new_flows: bool,
    next: usize,
    sent: u64,
    flow: u32,
}

impl Sender {
    /// Sends the next `count` packets, at most BATCH.
    fn send(&mut self, count: usize) -> Result<()> {
        let base = self.bytes.as_mut_ptr();
        // SAFETY: all zeros is a valid iovec.
        let mut pieces: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: all zeros is a valid mmsghdr.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let count = count.min(BATCH);
        for (piece, message) in pieces.iter_mut().zip(&mut messages).take(count) {
            let packet = self.packets[self.next].clone();
            self.next = if self.next + 1 == self.packets.len() { 0 } else { self.next + 1 };
            if self.new_flows && packet.len() >= 34 && self.bytes[packet.start + 12] == 8 {
                self.flow = self.flow.wrapping_add(1);
                let source = packet.start + 26;
                self.bytes[source..source + 4].copy_from_slice(&(0x1000_0000_u32.wrapping_add(self.flow)).to_be_bytes());
            }
            // SAFETY: the packet lies inside `bytes`.
            piece.iov_base = unsafe { base.add(packet.start) }.cast();
            piece.iov_len = packet.len();
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
        }
        let mut done = 0;
        while done < count {
            let left = &mut messages[done..count];
            // SAFETY: each message has one piece, which lies inside `bytes`; all of them live through the call.
            let n = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0) };
            if n > 0 {
                done += n as usize;
                continue;
            }
            let e = Error::last_os_error();
            match e.raw_os_error() {
                // The link is full: this packet was not delivered, and is sent again.
                Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => std::thread::yield_now(),
                _ => return Err(e),
            }
        }
        self.sent += count as u64;
        Ok(())
    }

    fn trickle(&mut self, seconds: f64) -> Result<()> {
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            self.send(1)?;
            std::thread::sleep(TRICKLE_EVERY);
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let Some(a) = arguments()? else { return Ok(()) };
    let bytes = std::fs::read(&a.file)?;
    let packets = packets_of(&bytes)?;
    let socket = open(&a.interface)?;
    let mut sender = Sender { socket, bytes, packets, new_flows: a.new_flows, next: 0, sent: 0, flow: 0 };
    sender.trickle(a.lead)?;
    let start = Instant::now();
    // At a slow rate packets go one by one, at a fast one in batches of a millisecond at most.
    let batch = if a.rate > 0.0 { ((a.rate / 1000.0) as u64).clamp(1, BATCH as u64) } else { BATCH as u64 };
    let mut done = 0;
    while done < a.packets {
        if a.rate > 0.0 {
            let early = done as f64 / a.rate - start.elapsed().as_secs_f64();
            if early > 0.0 {
                let wait = Duration::from_secs_f64(early);
                if wait >= SLEEP_MIN {
                    std::thread::sleep(wait);
                } else {
                    std::hint::spin_loop();
                }
                continue;
            }
        }
        let count = batch.min(a.packets - done);
        sender.send(count as usize)?;
        done += count;
    }
    let took = start.elapsed().as_secs_f64();
    sender.trickle(a.tail)?;
    println!("{} {:.0}", sender.sent, a.packets as f64 / took.max(1e-9));
    Ok(())
}
