//! Capture through a packet socket and its memory-mapped ring of blocks (TPACKET_V3): the kernel fills blocks, no packet costs a system call.
//!
//! The socket is made once, while that is allowed, and is bound to whatever device has the interface's name: also to one that is made
//! later, which needs no rights any more. With fan-out it must be made anew then, because the kernel binds such a socket only once.
//!
//! The kernel unbinds a socket whose device goes away, also if the next one gets the same number; and a device that gets another name
//! keeps its sockets. So both are asked again and again: what the socket is bound to, and which device has the name. A break is told once
//! all that came before is handed on, and only then is the socket bound anew: nothing from before and after is mixed.

use super::device::Device;
use super::filter::{Instruction, Programs, nothing};
use super::frames::{BLOCK_HEADER_LEN, Reading, TAG_LEN, packets, packets_before};
use super::source::{CaptureError, Drops, Link, Options, Polled, Source};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a block. A packet must fit in one, of the largest snap length, with its header.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks of the smallest ring: while one is read, others fill.
const BLOCKS_MIN: usize = 8;
/// A block that holds a packet is handed over after so long, full or not. On a slow link the buffer lasts for as long as its blocks are handed
/// over one after the other with next to nothing in them: 5 s with 128 of them.
const RETIRE_MS: u32 = 40;
/// Bytes of blocks that are handed on before others get their turn.
const AT_ONCE_BYTES: usize = 4 << 20;
/// A packet's time can be so much earlier than its coming into the ring: several processors take packets in, and one may be held up.
const LATE_NS: u64 = 20_000_000;
/// How often it is asked which device has the name.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is asked what the device itself had no room for.
const MISSED_EVERY: Duration = Duration::from_millis(500);
/// Where a block's status stands, and how many packets it has.
const STATUS: usize = 8;
const NUM_PACKETS: usize = 12;

/// The ring that is shared with the kernel.
struct Ring {
    memory: NonNull<u8>,
    blocks: usize,
    /// The block whose turn it is.
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, and stays where it is until it is dropped.
unsafe impl Send for Ring {}

impl Ring {
    fn map(socket: &OwnedFd, blocks: usize) -> io::Result<Ring> {
        let (len, protection) = (blocks * BLOCK_BYTES, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping of the socket's ring, which has just been made that long.
        let memory = unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Ring { memory, blocks, next: 0 })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `next` is below `blocks` and `at` inside a block's header, so this lies in the mapping, aligned as blocks are; the kernel
        // changes such words at any time, which an atomic allows.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(self.next * BLOCK_BYTES + at).cast()) }
    }

    /// The block whose turn it is, if the kernel has handed it over.
    fn ready(&mut self) -> Option<&mut [u8]> {
        if self.word(STATUS).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the block lies in the mapping; the kernel leaves it alone until it is given back, which needs `self`.
        Some(unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().add(self.next * BLOCK_BYTES), BLOCK_BYTES) })
    }

    /// Whether the kernel has put nothing into the block whose turn it is.
    fn is_empty(&self) -> bool {
        self.word(STATUS).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0
            && self.word(NUM_PACKETS).load(Ordering::Acquire) == 0
    }

    /// Gives the block back.
    fn give_back(&mut self) {
        self.word(NUM_PACKETS).store(0, Ordering::Relaxed);
        self.word(STATUS).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.blocks * BLOCK_BYTES) };
    }
}

/// A packet socket that listens to one interface.
pub struct PacketSocket {
    // The mapping goes before the socket.
    ring: Ring,
    socket: OwnedFd,
    options: Options,
    programs: Programs,
    /// The device that it is bound to.
    device: Option<Device>,
    /// How to read what the ring holds, also once that device has gone.
    reading: Reading,
    /// Whether it shares a device with others, which it cannot stop doing.
    shares: bool,
    link: Link,
    /// What it was bound to is not the interface any more, or was down: that is to be told once all that came before is handed on.
    broken: bool,
    looked: Instant,
    /// What the device had missed when that was last asked, and when; `None` where another one of those who share it tells it.
    missed: Option<(u64, Instant)>,
    /// What came before this is not handed on: until it shares with others, a socket gets what they get. Zero once that is past.
    begins: Timestamp,
}

fn failed(options: &Options, what: &'static str) -> impl Fn(io::Error) -> CaptureError {
    let interface = options.interface.clone();
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => CaptureError::NotAllowed { interface: interface.clone() },
        _ => CaptureError::Io { interface: interface.clone(), what, source },
    }
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of_val(value) as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `value`, which is that long.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One of no protocol: nothing comes before the filter is there and the socket is bound.
fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call.
    let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn open(options: &Options) -> Result<(OwnedFd, Ring), CaptureError> {
    let socket = socket().map_err(failed(options, "the kernel gives no packet socket"))?;
    let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
    let no_ring = failed(options, "the kernel has no packet ring of version 3");
    set(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version).map_err(no_ring)?;
    // Room before each packet for a tag.
    let reserve = TAG_LEN as libc::c_uint;
    set(&socket, libc::SOL_PACKET, libc::PACKET_RESERVE, &reserve).map_err(failed(options, "no room for tags can be had"))?;
    let blocks = (options.buffer / BLOCK_BYTES).max(BLOCKS_MIN);
    let request = ring_request(blocks);
    let no_buffer = |source| CaptureError::Buffer { interface: options.interface.clone(), buffer: blocks * BLOCK_BYTES, source };
    set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request).map_err(no_buffer)?;
    let ring = Ring::map(&socket, blocks).map_err(no_buffer)?;
    attach(&socket, &nothing()).map_err(failed(options, NO_FILTER))?;
    Ok((socket, ring))
}

fn attach(socket: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

const NO_FILTER: &str = "the kernel does not take the filter";
const NOT_TOLD: &str = "the kernel does not tell of the interface";

/// The number of the device that a socket is bound to: 0 where it never was, less where that went away.
fn bound_to(socket: &OwnedFd) -> io::Result<i32> {
    // SAFETY: all fields are numbers, for which 0 is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `address`, which is that long.
    let told = unsafe { libc::getsockname(socket.as_raw_fd(), ptr::from_mut(&mut address).cast(), &raw mut len) };
    if told == 0 { Ok(address.sll_ifindex) } else { Err(io::Error::last_os_error()) }
}

fn membership(device: Device) -> libc::packet_mreq {
    libc::packet_mreq { mr_ifindex: device.index, mr_type: libc::PACKET_MR_PROMISC as u16, mr_alen: 0, mr_address: [0; 8] }
}

fn ring_request(blocks: usize) -> libc::tpacket_req3 {
    const FRAME_BYTES: usize = 2048; // a bound only, in version 3
    libc::tpacket_req3 {
        tp_block_size: BLOCK_BYTES as u32,
        tp_block_nr: blocks as u32,
        tp_frame_size: FRAME_BYTES as u32,
        tp_frame_nr: (blocks * (BLOCK_BYTES / FRAME_BYTES)) as u32,
        tp_retire_blk_tov: RETIRE_MS,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    }
}

impl PacketSocket {
    /// Makes the socket and listens, if the interface is there.
    pub fn open(options: Options) -> Result<PacketSocket, CaptureError> {
        let (socket, ring) = open(&options)?;
        let now = Device::look(socket.as_fd(), &options.interface).ok().flatten().and_then(|d| d.link_type());
        let programs = match &options.filter {
            Some(text) => Programs::compile(&options.interface, now, options.snaplen, text)?,
            None => Programs::everything(options.snaplen),
        };
        let reading = Reading { ethernet: false, skip_outgoing: false, snaplen: options.snaplen };
        let mut made = PacketSocket {
            ring,
            socket,
            options,
            programs,
            device: None,
            reading,
            shares: false,
            link: Link::Missing,
            broken: false,
            looked: Instant::now(),
            missed: None,
            begins: Timestamp::ZERO,
        };
        made.look()?;
        Ok(made)
    }

    /// Whether the interface's packets are of a kind that packet sockets give as they are. A name that is no device's is thought to be that
    /// of one to come, unless it is one of libpcap's own ("any").
    pub fn suits(interface: &str) -> bool {
        let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0") else { return true };
        match Device::look(socket.as_fd(), interface) {
            Ok(Some(device)) => device.link_type().is_some(),
            Ok(None) => !pcap::Device::list().is_ok_and(|all| all.iter().any(|d| d.name == interface)),
            Err(_) => true,
        }
    }

    /// Whether this process may make such sockets.
    pub fn is_allowed() -> bool {
        socket().is_ok()
    }

    /// Nothing is taken from the device that it is bound to: it is the interface's no more.
    fn leave(&mut self) -> Result<(), CaptureError> {
        if let Some(device) = self.device.take() {
            attach(&self.socket, &nothing()).map_err(failed(&self.options, NO_FILTER))?;
            // It has gone with the device, where that has gone.
            let _ = set(&self.socket, libc::SOL_PACKET, libc::PACKET_DROP_MEMBERSHIP, &membership(device));
        }
        Ok(())
    }

    fn bind(&mut self, device: Device, link_type: LinkType) -> Result<(), CaptureError> {
        self.leave()?;
        let program = self.programs.of(link_type)?;
        if self.shares {
            (self.socket, self.ring) = open(&self.options)?;
            self.shares = false;
        }
        let failed = failed(&self.options, "the interface cannot be listened to");
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: device.index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel reads `len` bytes of `address`, which is that long.
        let bound = unsafe { libc::bind(self.socket.as_raw_fd(), ptr::from_ref(&address).cast(), len) };
        if bound != 0 {
            let e = io::Error::last_os_error();
            // It went away meanwhile.
            return if e.raw_os_error() == Some(libc::ENODEV) { Ok(()) } else { Err(failed(e)) };
        }
        // Not every device can; what it gives is recorded all the same.
        let asked = set(&self.socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership(device));
        if let Err(e) = asked {
            tracing::debug!(interface = self.options.interface, "not promiscuous: {e}");
        }
        if let Some(fanout) = self.options.fanout {
            // A group is of one device, and lasts while any socket is in it: the others may not have left the device before.
            let group = fanout.group.wrapping_add(device.index as u16);
            let value = u32::from(group) | (libc::PACKET_FANOUT_HASH << 16);
            match set(&self.socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &value) {
                // They have not, and that had the same number; or it is down, and the kernel is one that shares no such.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return Ok(()),
                done => done.map_err(&failed)?,
            }
            (self.shares, self.begins) = (true, Timestamp::now());
        }
        // Only now, so that nothing comes unfiltered, from another device, or twice.
        attach(&self.socket, &program).map_err(failed)?;
        self.device = Some(device);
        let (ethernet, skip_outgoing) = (link_type == LinkType::ETHERNET, device.is_loopback);
        self.reading = Reading { ethernet, skip_outgoing, ..self.reading };
        if self.options.fanout.is_none_or(|f| f.is_first) {
            self.missed = device.missed(&self.options.interface).map(|n| (n, Instant::now()));
        }
        Ok(())
    }

    fn bound(&self) -> Result<i32, CaptureError> {
        bound_to(&self.socket).map_err(failed(&self.options, "the kernel does not tell what is listened to"))
    }

    /// What the device had no room for since it was last asked.
    fn newly_missed(&mut self) -> u64 {
        let (Some(device), Some((before, at))) = (self.device, self.missed) else { return 0 };
        if at.elapsed() < MISSED_EVERY {
            return 0;
        }
        let now = device.missed(&self.options.interface).unwrap_or(before);
        self.missed = Some((now, Instant::now()));
        now.saturating_sub(before)
    }

    /// Notes a break: the interface is another one, or none, or down. Whether it was down and is up again, with packets from before and after.
    fn check(&mut self) -> Result<bool, CaptureError> {
        let told = !matches!(rustix::net::sockopt::socket_error(&self.socket), Ok(Ok(())));
        if !told && self.looked.elapsed() < LOOK_EVERY {
            return Ok(false);
        }
        self.looked = Instant::now();
        let Some(device) = self.device else { return Ok(false) };
        let now = Device::look(self.socket.as_fd(), &self.options.interface).map_err(failed(&self.options, NOT_TOLD))?;
        let is_same = now.is_some_and(|n| n.index == device.index);
        if !is_same {
            self.leave()?;
        }
        let was_down = told && is_same && now.is_some_and(|n| n.is_up) && self.bound()? == device.index;
        self.broken |= !was_down && (told || !is_same || self.bound()? != device.index);
        Ok(was_down && self.link == Link::Up)
    }

    /// Waits for packets. Whether the interface went down, or away.
    fn wait(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN | PollFlags::ERR)];
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(&self.options, "waiting for packets failed")(e.into())),
        }
        let mut interrupted = false;
        if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            // Taken, or it would be told again and again.
            interrupted = self.check()?;
        }
        Ok(interrupted)
    }
}

impl Source for PacketSocket {
    fn link_type(&self) -> Option<LinkType> {
        self.device.and_then(|d| d.link_type())
    }

    fn poll(&mut self, timeout: Duration, each: &mut dyn FnMut(&Packet<'_>)) -> Result<Polled, CaptureError> {
        let reading = self.reading;
        let (mut handed, mut waited) = (0, false);
        loop {
            let now = Timestamp::now();
            let link = self.link;
            if let Some(block) = self.ring.ready() {
                if self.begins > Timestamp::ZERO {
                    let (begins, mut has_begun) = (self.begins, false);
                    packets(block, reading, &mut |packet| {
                        if packet.time >= begins {
                            has_begun = true;
                            each(packet);
                        }
                    });
                    if has_begun {
                        self.begins = Timestamp::ZERO;
                    }
                } else {
                    packets(block, reading, each);
                }
                self.ring.give_back();
                handed += BLOCK_BYTES;
                if handed >= AT_ONCE_BYTES {
                    if self.looked.elapsed() >= LOOK_EVERY {
                        let interrupted = self.check()?;
                        return Ok(Polled { link, more: true, complete_to: None, interrupted });
                    }
                    return Ok(Polled { link, more: true, complete_to: None, interrupted: false });
                }
            } else if handed > 0 || waited {
                let is_empty = self.ring.is_empty();
                if is_empty {
                    self.begins = Timestamp::ZERO;
                }
                // After it is known that nothing waits: what breaks later concerns what comes later.
                if self.check()? {
                    return Ok(Polled { link, more: true, complete_to: None, interrupted: true });
                }
                if self.broken && self.ring.is_empty() {
                    self.broken = false;
                    let link = self.look()?;
                    return Ok(Polled { link, more: false, complete_to: None, interrupted: true });
                }
                let complete_to = (is_empty && !self.broken).then(|| now.saturating_sub(LATE_NS));
                return Ok(Polled { link, more: false, complete_to, interrupted: false });
            } else {
                let interrupted = self.wait(timeout)?;
                if interrupted {
                    return Ok(Polled { link: Link::Up, more: true, complete_to: None, interrupted });
                }
                waited = true;
            }
        }
    }

    fn begin(&mut self, at: Timestamp) {
        if self.begins > Timestamp::ZERO {
            self.begins = at;
        }
    }

    fn drops(&mut self) -> Result<Drops, CaptureError> {
        let mut told = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut len = size_of_val(&told) as libc::socklen_t;
        let to = ptr::from_mut(&mut told).cast();
        // SAFETY: the kernel writes at most `len` bytes to `told`, which is that long.
        let done =
            unsafe { libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, to, &raw mut len) };
        if done != 0 {
            return Err(failed(&self.options, "the kernel does not tell its drops")(io::Error::last_os_error()));
        }
        Ok(Drops { kernel: u64::from(told.tp_drops), interface: self.newly_missed() })
    }

    fn left_behind(&mut self, end: Timestamp) -> u64 {
        let reading = self.reading;
        let mut count = 0;
        for _ in 0..self.ring.blocks {
            let Some(packets) = self.ring.ready().and_then(|block| packets_before(block, reading, end)) else { break };
            count += packets;
            self.ring.give_back();
        }
        count
    }

    fn look(&mut self) -> Result<Link, CaptureError> {
        if self.broken {
            return Ok(self.link); // not before all that came is handed on
        }
        let found = Device::look(self.socket.as_fd(), &self.options.interface).map_err(failed(&self.options, NOT_TOLD))?;
        self.link = match found {
            None => {
                self.leave()?;
                Link::Missing
            }
            Some(device) => {
                let Some(link_type) = device.link_type() else {
                    self.leave()?;
                    return Err(CaptureError::Headers { interface: self.options.interface.clone() });
                };
                let is_another = |d: Device| (d.index, d.hardware) != (device.index, device.hardware);
                if self.device.is_none_or(is_another) || self.bound()? != device.index {
                    self.bind(device, link_type)?;
                }
                // Else it went away meanwhile, or does not share yet.
                if self.device.is_some() || !device.is_up { device.link() } else { Link::Missing }
            }
        };
        Ok(self.link)
    }
}

const _: () = assert!(BLOCK_HEADER_LEN > NUM_PACKETS + 4);
const _: () = assert!(BLOCK_BYTES > 262_144 + BLOCK_HEADER_LEN + 256);
