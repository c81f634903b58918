//! What the kernel says of a network device: its number, whether it is up, what its packets begin with.

use super::source::Link;
use crate::packet::LinkType;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

/// Where the kernel tells of devices.
const DEVICES: &str = "/sys/class/net";

/// A network device as of now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its number; a device that is made again under the same name has another one, unless one is asked for.
    pub index: i32,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// What its packets begin with (ARPHRD_*, linux/if_arp.h).
    pub hardware: u16,
}

impl Device {
    /// Asks the kernel, through any socket; `None` where there is no such device.
    pub fn look(socket: BorrowedFd<'_>, name: &str) -> io::Result<Option<Device>> {
        let ask = |what| ask(socket, name, what);
        let (Some(index), Some(flags), Some(hardware)) =
            (ask(libc::SIOCGIFINDEX)?, ask(libc::SIOCGIFFLAGS)?, ask(libc::SIOCGIFHWADDR)?)
        else {
            return Ok(None);
        };
        // SAFETY: each of the three requests filled the field that is read here.
        let (index, flags, hardware) = unsafe {
            let (index, flags) = (index.ifr_ifru.ifru_ifindex, flags.ifr_ifru.ifru_flags);
            (index, libc::c_int::from(flags), hardware.ifr_ifru.ifru_hwaddr.sa_family)
        };
        Ok(Some(Device { index, is_up: flags & libc::IFF_UP != 0, is_loopback: flags & libc::IFF_LOOPBACK != 0, hardware }))
    }

    /// Only its number, which costs less.
    pub fn index(socket: BorrowedFd<'_>, name: &str) -> io::Result<Option<i32>> {
        // SAFETY: the request filled the field that is read here.
        Ok(ask(socket, name, libc::SIOCGIFINDEX)?.map(|told| unsafe { told.ifr_ifru.ifru_ifindex }))
    }

    /// Packets that it had no room for itself since it was made, as libpcap counts them; `None` where that is not told.
    pub fn missed(&self, name: &str) -> Option<u64> {
        missed(&Path::new(DEVICES).join(name), self.index)
    }

    /// How the link stands.
    pub fn link(&self) -> Link {
        if self.is_up { Link::Up } else { Link::Down }
    }

    /// The link type of its packets as a packet socket gives them; `None` where libpcap has to make headers for them.
    pub fn link_type(&self) -> Option<LinkType> {
        match self.hardware {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
            libc::ARPHRD_NONE | ARPHRD_RAWIP => Some(LinkType(101)),
            libc::ARPHRD_IEEE80211 => Some(LinkType(105)),
            libc::ARPHRD_IEEE80211_RADIOTAP => Some(LinkType(127)),
            _ => None,
        }
    }
}

/// Of the folder of a device, which may be that of another namespace.
fn missed(folder: &Path, index: i32) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    if number("ifindex")? != u64::try_from(index).ok()? {
        return None;
    }
    Some(number("statistics/rx_missed_errors")?.saturating_add(number("statistics/rx_fifo_errors")?))
}

/// Asks for one thing of a device; `None` where there is none of that name.
fn ask(socket: BorrowedFd<'_>, name: &str, what: libc::Ioctl) -> io::Result<Option<libc::ifreq>> {
    // SAFETY: all fields of ifreq are numbers, for which 0 is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Ok(None);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: these requests read a name from an ifreq and write one of its fields, and `request` outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) } {
        0 => Ok(Some(request)),
        _ => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => Ok(None),
            e => Err(e),
        },
    }
}

/// `ARPHRD_RAWIP`, which the libc crate lacks.
const ARPHRD_RAWIP: u16 = 519;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn what_a_device_missed_is_told_of_that_device_only() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, n: u64| fs::write(folder.path().join(name), format!("{n}\n")).unwrap();
        fs::create_dir(folder.path().join("statistics")).unwrap();
        write("ifindex", 7);
        write("statistics/rx_missed_errors", 5);
        assert_eq!(missed(folder.path(), 7), None, "not all is told");
        write("statistics/rx_fifo_errors", 10);
        write("statistics/rx_dropped", 100);
        assert_eq!((missed(folder.path(), 7), missed(folder.path(), 8)), (Some(15), None));
        let lo = Device::look(UdpSocket::bind("127.0.0.1:0").unwrap().as_fd(), "lo").unwrap().unwrap();
        assert_eq!(lo.missed("lo"), Some(0));
    }

    #[test]
    fn the_loopback_interface_is_there_and_others_are_not() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let device = Device::look(socket.as_fd(), "lo").unwrap().unwrap();
        assert!(device.is_loopback && device.index > 0);
        assert_eq!(device.link_type(), Some(LinkType::ETHERNET));
        assert_eq!(Device::look(socket.as_fd(), "no-such-one").unwrap(), None);
        assert_eq!(Device::look(socket.as_fd(), "a-name-that-is-longer-than-any").unwrap(), None);
    }
}
