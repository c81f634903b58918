//! Capture through libpcap: where there are no packet sockets, and for interfaces whose packets it makes headers for ("any", PPP, tunnels).
//!
//! It opens an interface that is there and up: one that is made later, made again or comes back is opened anew, which needs the right to
//! capture. How the interface stands is asked of the kernel: libpcap does not tell of one that goes down and comes back.

use super::device::Device;
use super::filter::FilterError;
use super::source::{CaptureError, Drops, Link, Options, Polled, Source};
use crate::packet::{LinkType, Packet};
use crate::time::{SECOND_NS, Timestamp};
use pcap::{Active, Capture, Linktype, Precision};
use rustix::net::{AddressFamily, SocketType};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long libpcap collects packets before it hands them on, in milliseconds.
const COLLECT_MS: i32 = 20;
/// Packets that are handed on before others get their turn.
const AT_ONCE: usize = 16_384;
/// How often it is asked how the interface stands.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A packet that comes now can be so much older: it was collected, or its processor was held up.
const LATE_NS: u64 = 60_000_000;

/// Cooked headers of packets of several interfaces, the older kind and the newer.
const LINUX_SLL: Linktype = Linktype(113);
const LINUX_SLL2: Linktype = Linktype(276);

/// An interface that libpcap listens to.
pub struct Libpcap {
    /// `None` while the interface is not there or not up.
    capture: Option<Capture<Active>>,
    options: Options,
    /// `None` before it was ever opened.
    link_type: Option<LinkType>,
    /// The number of the device that was opened; `None` where it is none of the kernel's ("any").
    device: Option<i32>,
    /// A socket through which the kernel is asked.
    asking: OwnedFd,
    asked: Instant,
    link: Link,
    /// Drops told so far.
    told: (u32, u32),
}

fn failed(interface: &str) -> impl Fn(pcap::Error) -> CaptureError {
    let interface = interface.to_string();
    move |e| CaptureError::Libpcap { interface: interface.clone(), reason: e.to_string() }
}

/// The interface, or how it stands where it cannot be opened for that.
fn open(options: &Options) -> Result<Result<Capture<Active>, Link>, CaptureError> {
    let failed = failed(&options.interface);
    let device = Capture::from_device(options.interface.as_str()).map_err(&failed)?;
    let inactive = device
        .promisc(true)
        .precision(Precision::Nano)
        .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
        .buffer_size(i32::try_from(options.buffer).unwrap_or(i32::MAX))
        .timeout(COLLECT_MS);
    let mut capture = match inactive.open() {
        Ok(capture) => capture,
        Err(pcap::Error::PcapError(text)) if text.contains("ermission") || text.contains("not permitted") => {
            return Err(CaptureError::NotAllowed { interface: options.interface.clone() });
        }
        Err(pcap::Error::PcapError(text)) if text.contains("No such device") => return Ok(Err(Link::Missing)),
        Err(pcap::Error::PcapError(text)) if text.contains("not up") || text.contains("went down") => {
            return Ok(Err(Link::Down));
        }
        Err(e) => return Err(failed(e)),
    };
    // As tcpdump does: of these headers the older ones do not tell the interface.
    if capture.get_datalink() == LINUX_SLL && capture.list_datalinks().is_ok_and(|all| all.contains(&LINUX_SLL2)) {
        capture.set_datalink(LINUX_SLL2).map_err(&failed)?;
    }
    // Also where there is none: without one the kernel drops packets with nothing after the header that libpcap makes anew.
    capture
        .filter(options.filter.as_deref().unwrap_or_default(), true)
        .map_err(|e| FilterError::Refused { interface: options.interface.clone(), reason: e.to_string() })?;
    capture.setnonblock().map(Ok).map_err(&failed)
}

impl Libpcap {
    /// Opens the interface, if it is there and up.
    pub fn open(options: Options) -> Result<Libpcap, CaptureError> {
        let no_socket = |e: rustix::io::Errno| CaptureError::Io {
            interface: options.interface.clone(),
            what: "the kernel gives no socket to ask through",
            source: e.into(),
        };
        let asking = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(no_socket)?;
        let asked = Instant::now();
        let (capture, link_type, device, link, told) = (None, None, None, Link::Missing, (0, 0));
        let mut made = Libpcap { capture, options, link_type, device, asking, asked, link, told };
        made.link = made.reopen()?;
        Ok(made)
    }

    /// How the device stands that was opened.
    fn stands(&self) -> Link {
        match (self.device, device(&self.asking, &self.options.interface)) {
            (None, None) if self.capture.is_some() => Link::Up,
            (Some(index), Some(device)) if device.index == index => device.link(),
            _ => Link::Missing,
        }
    }

    /// Opens the interface, again or for the first time.
    fn reopen(&mut self) -> Result<Link, CaptureError> {
        self.capture = None;
        // Before it is opened: should it be made again in between, it is opened once more.
        let device = device(&self.asking, &self.options.interface).map(|d| d.index);
        Ok(match open(&self.options)? {
            Ok(capture) => {
                self.link_type = Some(link_type(&capture));
                self.capture = Some(capture);
                self.device = device;
                self.told = (0, 0);
                Link::Up
            }
            Err(link) => link,
        })
    }
}

fn device(asking: &OwnedFd, name: &str) -> Option<Device> {
    Device::look(asking.as_fd(), name).ok().flatten()
}

/// The number in files of what the interface's packets begin with, which is another one only for raw IP.
fn link_type(capture: &Capture<Active>) -> LinkType {
    match capture.get_datalink().0 {
        12 | 14 => LinkType(101),
        n => LinkType(n as u16),
    }
}

impl Source for Libpcap {
    fn link_type(&self) -> Option<LinkType> {
        self.link_type
    }

    fn poll(&mut self, timeout: Duration, each: &mut dyn FnMut(&Packet<'_>)) -> Result<Polled, CaptureError> {
        let mut waited = false;
        let mut handed = 0;
        loop {
            let now = Timestamp::now();
            let Some(capture) = &mut self.capture else {
                std::thread::sleep(timeout);
                return Ok(Polled { link: self.link, more: false, complete_to: None, interrupted: false });
            };
            let stopped = match capture.next_packet() {
                Ok(packet) => {
                    let header = packet.header;
                    // Of nanosecond precision, whatever the field is called.
                    let (seconds, nanos) = (header.ts.tv_sec as u64, header.ts.tv_usec as u64);
                    let time = Timestamp::from_nanos(seconds.saturating_mul(SECOND_NS).saturating_add(nanos));
                    each(&Packet { time, original_length: header.len, data: packet.data, options: &[] });
                    handed += 1;
                    if handed >= AT_ONCE {
                        return Ok(Polled { link: self.link, more: true, complete_to: None, interrupted: false });
                    }
                    continue;
                }
                Err(e) => e,
            };
            let nothing_waits = matches!(stopped, pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets);
            if nothing_waits && (handed > 0 || waited) {
                if self.asked.elapsed() >= ASK_EVERY {
                    self.asked = Instant::now();
                    self.link = self.stands();
                    if self.link == Link::Missing {
                        // What it listens to may go on under another name.
                        self.capture = None;
                    }
                }
                return Ok(Polled {
                    link: self.link,
                    more: false,
                    complete_to: Some(now.saturating_sub(LATE_NS)),
                    interrupted: false,
                });
            } else if nothing_waits {
                waited = true;
                wait(capture, timeout);
            } else {
                tracing::debug!(interface = self.options.interface, "libpcap gave up: {stopped}");
                self.capture = None;
                // Also if it is up again by now.
                self.link = if self.stands() == Link::Missing { Link::Missing } else { Link::Down };
            }
        }
    }

    fn drops(&mut self) -> Result<Drops, CaptureError> {
        let Some(Ok(stats)) = self.capture.as_mut().map(Capture::stats) else { return Ok(Drops::default()) };
        let (kernel, interface) = (stats.dropped.wrapping_sub(self.told.0), stats.if_dropped.wrapping_sub(self.told.1));
        self.told = (stats.dropped, stats.if_dropped);
        Ok(Drops { kernel: u64::from(kernel), interface: u64::from(interface) })
    }

    fn look(&mut self) -> Result<Link, CaptureError> {
        self.link = match self.stands() {
            Link::Missing => self.reopen()?,
            Link::Up if self.capture.is_none() => self.reopen()?,
            link => link,
        };
        Ok(self.link)
    }
}

fn wait(capture: &Capture<Active>, timeout: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::{AsRawFd, BorrowedFd};
    // SAFETY: libpcap keeps the descriptor open as long as the capture lives, which is borrowed here.
    let fd = unsafe { BorrowedFd::borrow_raw(capture.as_raw_fd()) };
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout));
}
