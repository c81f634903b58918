//! Links to record: network namespaces of a test's own, joined by a pair of virtual devices; frames that are sent into them as they are;
//! the recorder and tcpdump running inside.

use crate::plain::{self, File};
use crate::support::{Data, Running, eventually, has_tool, skip};
use serde_json::Value;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The interface that is recorded.
pub(crate) const RECORDED: &str = "rec0";
/// The other end of the link.
pub(crate) const OTHER: &str = "snd0";

/// The address of the recorded end, once it has one, and of the other.
pub(crate) const HERE: &str = "10.9.0.1";
pub(crate) const THERE: &str = "10.9.0.2";
const HERE_MAC: &str = "02:00:00:00:00:01";
const THERE_MAC: &str = "02:00:00:00:00:02";

/// Two network namespaces and the link between them, all gone after the test. Nobody but the test sends anything on it.
pub(crate) struct Link {
    near: String,
    far: String,
}

fn ip(args: &[&str]) -> bool {
    let done = Command::new("ip").args(args).stdin(Stdio::null()).output();
    done.is_ok_and(|o| o.status.success())
}

#[track_caller]
fn must_ip(args: &[&str]) {
    let done = Command::new("ip").args(args).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Runs `f` in a network namespace; sockets that it makes stay there.
fn inside<T: Send>(namespace: &str, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        let thread = s.spawn(|| {
            let there = fs::File::open(format!("/run/netns/{namespace}")).unwrap();
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(there.as_fd(), kind).unwrap();
            f()
        });
        thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e))
    })
}

impl Link {
    /// Makes both namespaces and the link, or skips the test.
    pub(crate) fn new() -> Option<Link> {
        let link = Link::unconnected()?;
        link.connect();
        Some(link)
    }

    /// Makes the namespaces only.
    pub(crate) fn unconnected() -> Option<Link> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !has_tool("ip") {
            return None;
        }
        let name = |end: &str| format!("taploop-{}-{}-{end}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let link = Link { near: name("near"), far: name("far") };
        if !ip(&["netns", "add", &link.near]) || !ip(&["netns", "add", &link.far]) {
            skip("this user may not make network namespaces (ip netns add)");
            return None;
        }
        for namespace in [&link.near, &link.far] {
            // The kernel would ask for routers, and tell of its groups.
            must_ip(&["netns", "exec", namespace, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"]);
        }
        Some(link)
    }

    /// Makes the link, with jumbo frames, and sets it up.
    pub(crate) fn connect(&self) {
        let (near, far) = (&self.near, &self.far);
        let here = ["-n", near, "link", "add", RECORDED, "address", HERE_MAC, "mtu", "9000", "type", "veth"];
        let there = ["peer", "name", OTHER, "address", THERE_MAC, "mtu", "9000", "netns", far];
        must_ip(&[&here[..], &there].concat());
        self.set(RECORDED, "up");
        must_ip(&["-n", far, "link", "set", OTHER, "up"]);
        self.wait_until_up();
    }

    /// Takes the link away, with both its ends.
    pub(crate) fn disconnect(&self) {
        must_ip(&["-n", &self.near, "link", "del", RECORDED]);
    }

    /// Sets an interface on the recorded side up or down.
    pub(crate) fn set(&self, interface: &str, state: &str) {
        must_ip(&["-n", &self.near, "link", "set", interface, state]);
    }

    /// `ip` with arguments where the recorded interface is.
    #[track_caller]
    pub(crate) fn ip_here(&self, args: &[&str]) {
        must_ip(&[&["-n", &self.near], args].concat());
    }

    /// Moves the recorded interface to the other end's namespace and back; it keeps its number.
    pub(crate) fn move_away_and_back(&self, recorder_sees: impl FnOnce()) {
        must_ip(&["-n", &self.near, "link", "set", RECORDED, "netns", &self.far]);
        recorder_sees();
        must_ip(&["-n", &self.far, "link", "set", RECORDED, "netns", &self.near]);
        self.set(RECORDED, "up");
        self.wait_until_up();
    }

    /// Makes the link again, the recorded end with the number that is given.
    pub(crate) fn connect_with_index(&self, index: u32) {
        let (near, far, index) = (&self.near, &self.far, index.to_string());
        let here = ["-n", near, "link", "add", RECORDED, "index", &index, "address", HERE_MAC, "mtu", "9000", "type", "veth"];
        let there = ["peer", "name", OTHER, "address", THERE_MAC, "mtu", "9000", "netns", far];
        must_ip(&[&here[..], &there].concat());
        self.set(RECORDED, "up");
        must_ip(&["-n", far, "link", "set", OTHER, "up"]);
        self.wait_until_up();
    }

    /// The number of the recorded interface.
    pub(crate) fn index(&self) -> u32 {
        let name = std::ffi::CString::new(RECORDED).unwrap();
        // SAFETY: the name ends with a zero byte and outlives the call.
        self.here(|| unsafe { libc::if_nametoindex(name.as_ptr()) })
    }

    fn wait_until_up(&self) {
        eventually("the link is up", || {
            let state = Command::new("ip").args(["-n", &self.near, "-br", "link", "show", RECORDED]).output().unwrap();
            String::from_utf8_lossy(&state.stdout).contains("LOWER_UP").then_some(())
        });
    }

    /// Gives both ends addresses, [`HERE`] and [`THERE`], and tells each of the other, so that nobody has to ask.
    pub(crate) fn address(&self) {
        let ends = [(&self.near, RECORDED, HERE, THERE, THERE_MAC), (&self.far, OTHER, THERE, HERE, HERE_MAC)];
        for (namespace, interface, own, other, mac) in ends {
            must_ip(&["-n", namespace, "addr", "add", &format!("{own}/24"), "dev", interface]);
            must_ip(&["-n", namespace, "neigh", "replace", other, "lladdr", mac, "dev", interface, "nud", "permanent"]);
        }
    }

    /// Runs `f` where the recorded interface is.
    pub(crate) fn here<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        inside(&self.near, f)
    }

    /// Runs `f` at the other end.
    pub(crate) fn there<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        inside(&self.far, f)
    }

    /// Sends to the recorded interface.
    pub(crate) fn sender(&self) -> Sender {
        self.there(|| Sender::open(OTHER))
    }

    /// Sends from the recorded interface.
    pub(crate) fn own_sender(&self) -> Sender {
        self.here(|| Sender::open(RECORDED))
    }

    /// A command that runs where the recorded interface is. It is the very process that is started.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut c = Command::new("ip");
        c.args(["netns", "exec", &self.near, program]);
        c
    }

    /// The same at the other end.
    pub(crate) fn command_there(&self, program: &str) -> Command {
        let mut c = Command::new("ip");
        c.args(["netns", "exec", &self.far, program]);
        c
    }

    /// `taploop record`, with what it says in a file.
    pub(crate) fn record_command(&self, data: &Data, flags: &[&str]) -> Command {
        let mut c = self.command(env!("CARGO_BIN_EXE_taploop"));
        c.arg("record").arg("--data").arg(data.path()).args(flags);
        c.env_remove("RUST_LOG").env("NO_COLOR", "1").current_dir(data.outside());
        c
    }

    /// Records the link's interface.
    pub(crate) fn record(&self, data: &Data, flags: &[&str]) -> Recorder {
        self.record_interfaces(data, &[RECORDED], flags)
    }

    /// Records interfaces, and returns when all that is sent from now on is recorded.
    pub(crate) fn record_interfaces(&self, data: &Data, interfaces: &[&str], flags: &[&str]) -> Recorder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut all: Vec<&str> = interfaces.iter().flat_map(|i| ["-i", i]).collect();
        all.extend(flags);
        let log = data.outside().join(format!("recorder-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)));
        let to = fs::File::create(&log).unwrap();
        let mut c = self.record_command(data, &all);
        c.stdin(Stdio::null()).stdout(to.try_clone().unwrap()).stderr(to);
        let child = Running(c.spawn().unwrap());
        let mut recorder = Recorder { child, log };
        for interface in interfaces {
            let pid = recorder.pid();
            recorder.wait_for("it records", || state(data, interface).filter(|s| s["pid"] == pid));
        }
        recorder
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            ip(&["netns", "del", namespace]);
        }
    }
}

/// A running `taploop record`.
pub(crate) struct Recorder {
    child: Running,
    log: PathBuf,
}

/// What the recorder of an interface last told of itself in its ring's folder.
pub(crate) fn state(data: &Data, interface: &str) -> Option<Value> {
    serde_json::from_slice(&fs::read(data.path().join("rings").join(interface).join("recorder.json")).ok()?).ok()
}

impl Recorder {
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Polls while it runs.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut f: impl FnMut() -> Option<T>) -> T {
        eventually(what, || {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                panic!("the recorder ended ({status}) before this: {what}\n{}", self.said());
            }
            f()
        })
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// Stops it as an operator does; it must end well.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.stop_by(rustix::process::Signal::TERM);
    }

    #[track_caller]
    pub(crate) fn stop_by(mut self, signal: rustix::process::Signal) {
        self.signal(signal);
        let status = self.child.wait();
        let said = self.said();
        assert!(status == 0 && !said.contains("panicked"), "it ended with {status}:\n{said}");
    }

    /// Ends it without a chance to say anything.
    pub(crate) fn kill(mut self) {
        self.child.kill();
    }
}

/// Sends frames as they are through an interface.
pub(crate) struct Sender(OwnedFd);

impl Sender {
    /// On an interface of the namespace that this thread is in.
    pub(crate) fn open(interface: &str) -> Sender {
        // SAFETY: a plain system call.
        let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(raw >= 0, "{}", io::Error::last_os_error());
        // SAFETY: it was made just now, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let name = std::ffi::CString::new(interface).unwrap();
        // SAFETY: the name ends with a zero byte and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        assert!(index > 0, "{interface}: {}", io::Error::last_os_error());
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the kernel reads as many bytes of `address` as it has.
        let bound =
            unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        Sender(socket)
    }

    /// Sends one frame.
    #[track_caller]
    pub(crate) fn send(&self, frame: &[u8]) {
        while let Err(e) = rustix::net::send(&self.0, frame, rustix::net::SendFlags::empty()) {
            let full = matches!(e, rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR);
            assert!(full, "a frame of {} bytes: {e}", frame.len());
            std::thread::yield_now();
        }
    }
}

/// A running tcpdump, which writes a file.
pub(crate) struct Tcpdump {
    child: Running,
    file: PathBuf,
    log: PathBuf,
}

impl Tcpdump {
    /// Records an interface of the link's recorded side, with nanoseconds; returns once it listens.
    pub(crate) fn start(link: &Link, folder: &Path, interface: &str, flags: &[&str]) -> Option<Tcpdump> {
        if !has_tool("tcpdump") {
            return None;
        }
        let (file, log) = (folder.join("tcpdump.pcap"), folder.join("tcpdump.log"));
        let mut c = link.command("tcpdump");
        // -B: KiB of the kernel's buffer; -U: each packet is written at once; -Z: it stays the user who may write here.
        c.args(["-i", interface, "-n", "-U", "-Z", "root", "--time-stamp-precision=nano", "-B", "65536", "-s", "262144", "-w"]);
        c.arg(&file).args(flags);
        c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child = Running(c.spawn().unwrap());
        let dump = Tcpdump { child, file, log };
        eventually("tcpdump listens", || dump.said().contains("listening on").then_some(()));
        Some(dump)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What it has written so far.
    pub(crate) fn written(&self) -> Option<File> {
        plain::parse(&fs::read(&self.file).ok()?)
    }

    /// Stops it, once it has written what `is_last` waits for; it must not have lost anything.
    #[track_caller]
    pub(crate) fn stop_after(mut self, what: &str, is_last: impl Fn(&plain::Packet) -> bool) -> File {
        eventually(what, || self.written()?.packets.iter().any(&is_last).then_some(()));
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child.0), rustix::process::Signal::INT).unwrap();
        self.child.wait();
        let said = self.said();
        assert!(said.lines().any(|l| l.starts_with("0 packets dropped by kernel")), "{said}");
        self.written().unwrap()
    }
}
