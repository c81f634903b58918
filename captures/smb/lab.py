"""A small network of namespaces with a real smbd in it, and the capture of what passes: what the scripts beside this share.

Every host has a namespace, an address and a MAC address that goes with it, and a cable to one switch, where tcpdump listens.
Offloads are off, so that what is captured is what a wire would carry. The programs live at a time of our choice (libfaketime),
and the packets' times are moved to it. Needs root.
"""

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from packets import ALERT, SECOND, Pcap, PcapNg, mac  # noqa: E402

PYTHON = "/usr/bin/python3"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def sh(*words, **more):
    return subprocess.run(words, check=True, **more)


def nt_hash(password):
    from impacket.ntlm import compute_nthash

    return compute_nthash(password).hex().upper()


class Lab:
    """`hosts` maps names to addresses. The clock of the programs begins at `at` (nanoseconds) when the lab opens."""

    def __init__(self, hosts, at=ALERT, mtu=1500, prefix=24):
        self.hosts, self.at, self.mtu, self.prefix = hosts, at, mtu, prefix
        self.id = f"tl{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="captures-smb-")
        self.children = []

    def space(self, host):
        return f"{self.id}-{host}"

    def __enter__(self):
        self.offset = self.at // SECOND - int(time.time())
        names = ["switch", *self.hosts]
        for name in names:
            sh("ip", "netns", "add", self.space(name))
            six = any(":" in a for a in self.hosts.values())
            for scope in ("all", "default"):
                knob = f"net.ipv6.conf.{scope}.disable_ipv6={0 if six and name != 'switch' else 1}"
                sh("ip", "netns", "exec", self.space(name), "sysctl", "-qw", knob)
            sh("ip", "-n", self.space(name), "link", "set", "lo", "up")
        switch = self.space("switch")
        sh("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        sh("ip", "-n", switch, "link", "set", "br0", "mtu", str(self.mtu), "up")
        for number, (host, address) in enumerate(self.hosts.items()):
            port = f"port{number}"
            own = self.space(host)
            sh("ip", "-n", switch, "link", "add", port, "mtu", str(self.mtu), "type", "veth", "peer", "name", "eth0", "netns", own)
            sh("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
            sh("ip", "-n", own, "link", "set", "eth0", "mtu", str(self.mtu), "address", mac(address).hex(":"))
            sh("ip", "netns", "exec", own, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off",
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            sh("ip", "-n", own, "addr", "add", f"{address}/{64 if ':' in address else self.prefix}", "dev", "eth0",
               *(["nodad"] if ":" in address else []))
            sh("ip", "-n", own, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            self.stop(child)
        for name in ["switch", *self.hosts]:
            # What the programs left behind in process groups of their own, as Samba's RPC services are.
            left = subprocess.run(["ip", "netns", "pids", self.space(name)], stdout=subprocess.PIPE, text=True).stdout.split()
            for process in left:
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "del", self.space(name)])
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, child):
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def inside(self, host, words):
        return ["ip", "netns", "exec", self.space(host), *words]

    def environment(self):
        clock = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"{self.offset:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        return {**os.environ, **clock, "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, host, words, clock=True, **more):
        """Runs a program in the background until the lab closes."""
        env = self.environment() if clock else None
        child = subprocess.Popen(self.inside(host, words), env=env, start_new_session=True, **more)
        self.children.append(child)
        return child

    def run(self, host, words, clock=True, **more):
        """Runs a program to its end and gives what it printed."""
        env = self.environment() if clock else None
        done = subprocess.run(self.inside(host, words), env=env, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} on {host} failed:\n{done.stdout}")
        return done.stdout

    def call(self, host, script, *words):
        """Runs the function of `script` that words[0] names, on a host."""
        return self.run(host, [PYTHON, script, "--call", *map(str, words)])

    def smbd(self, host, shares, accounts, options=(), ports="445", name="FS01", domain="CORP"):
        """A real smbd: `shares` maps names to folders, `accounts` user names to passwords. Gives the folder of its pipes."""
        home = os.path.join(self.folder, f"smbd-{host}")
        for part in ("private", "lock", "state", "cache", "run", "ncalrpc", "ncalrpc/np"):
            os.makedirs(os.path.join(home, part), mode=0o755)
        os.chmod(os.path.join(home, "ncalrpc/np"), 0o700)
        conf = [
            "[global]", f"netbios name = {name}", f"workgroup = {domain}", "server role = standalone server",
            f"private dir = {home}/private", f"lock directory = {home}/lock", f"state directory = {home}/state",
            f"cache directory = {home}/cache", f"pid directory = {home}/run", f"ncalrpc dir = {home}/ncalrpc",
            f"passdb backend = smbpasswd:{home}/private/smbpasswd", f"log file = {home}/log", "log level = 1",
            "max log size = 0", "rpc start on demand helpers = no", "load printers = no", "printcap name = /dev/null",
            "disable spoolss = yes", "disable netbios = no", f"smb ports = {ports}", "server string = file server",
            "server multi channel support = no", *options,
        ]  # fmt: skip
        for share, path in shares.items():
            conf += [f"[{share}]", f"path = {path}", "read only = no", f"admin users = {' '.join(accounts)}"]
        with open(f"{home}/smb.conf", "w") as out:
            out.write("\n".join(conf) + "\n")
        passwd = open("/etc/passwd").read()
        with open(f"{home}/private/smbpasswd", "w") as out:
            for number, (user, password) in enumerate(accounts.items(), 61000):
                out.write(f"{user}:{number}:{'X' * 32}:{nt_hash(password)}:[U          ]:LCT-5B2B7B00:\n")
                passwd += f"{user}:x:{number}:65534::/nonexistent:/usr/sbin/nologin\n"
        os.chmod(f"{home}/private/smbpasswd", 0o600)
        with open(f"{home}/passwd", "w") as out:
            out.write(passwd)
        # The accounts exist for this smbd only: `ip netns exec` gives it a mount namespace of its own.
        line = f"mount --bind {home}/passwd /etc/passwd && exec smbd --foreground --no-process-group -s {home}/smb.conf"
        self.start(host, ["sh", "-c", line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = ports.split()[0]
        for _ in range(100):
            if f":{port} " in self.run(host, ["ss", "-Hltn"], clock=False):
                return home
            time.sleep(0.1)
        raise SystemExit(f"smbd does not start; see {home}/log\n" + open(f"{home}/log").read()[-2000:])

    def pipes(self, host, home, *names):
        """The responder of pipes.py behind the pipes `names` of an smbd."""
        folder = os.path.join(home, "ncalrpc/np")
        self.start(host, [PYTHON, os.path.join(HERE, "pipes.py"), folder, *names])
        for _ in range(100):
            if all(os.path.exists(os.path.join(folder, n)) for n in names):
                return
            time.sleep(0.1)
        raise SystemExit("the pipes do not open")

    def capture(self, condition="", snap=262144):
        return Capture(self, condition, snap)


class Capture:
    """What passes the switch while the `with` block runs; afterwards `packets` has (nanoseconds, bytes, length on the wire)."""

    def __init__(self, lab, condition, snap):
        self.lab, self.condition, self.snap = lab, condition, snap

    def __enter__(self):
        self.file = tempfile.mktemp(dir=self.lab.folder, suffix=".pcap")
        # A place in tcpdump's buffer is as long as the snap length: no longer than needed, or a burst fills it.
        snap = min(self.snap, self.lab.mtu + 100)
        words = ["tcpdump", "-i", "br0", "-w", self.file, "-U", "-s", str(snap), "-B", "65536", "--immediate-mode", "-Z", "root"]
        words += [self.condition] if self.condition else []
        self.child = self.lab.start("switch", words, clock=False, stderr=subprocess.PIPE, text=True)
        while "listening on" not in self.child.stderr.readline():
            if self.child.poll() is not None:
                raise SystemExit("tcpdump does not start")
        return self

    def __exit__(self, kind, *_):
        time.sleep(0.5)
        self.child.send_signal(signal.SIGINT)
        said = self.child.communicate(timeout=5)[1]
        if kind is None:
            if "\n0 packets dropped by kernel" not in said:
                raise SystemExit(f"the capture has holes:\n{said}")
            self.packets = read_pcap(self.file)


def read_pcap(path):
    """The packets of a little-endian pcap file in microseconds, as tcpdump writes it here."""
    data, out, at = open(path, "rb").read(), [], 24
    while at + 16 <= len(data):
        sec, usec, kept, length = struct.unpack_from("<IIII", data, at)
        out.append((sec * SECOND + usec * 1000, data[at + 16 : at + 16 + kept], length))
        at += 16 + kept
    return out


def moved(packets, at):
    """The same packets, the first one at `at`, the distances kept."""
    first = packets[0][0]
    return [(t - first + at, data, length) for t, data, length in packets]


def write_pcap(path, packets, snap=262144):
    c = Pcap(snap=snap)
    for t, data, length in packets:
        c.data += struct.pack("<IIII", t // SECOND, t % SECOND // 1000, len(data), length) + data
    with open(path, "wb") as out:
        out.write(c.data)


def write_pcapng(path, packets, comment, interface="switch"):
    c = PcapNg()
    c.section(comment=comment)
    c.interface(interface, resolution=6)
    for t, data, _ in sorted(packets, key=lambda p: p[0]):
        c.add(t, data)
    with open(path, "wb") as out:
        out.write(c.data)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def transfer(action, share, path, data, **more):
    """A row of `objects` in an expectation: the whole file `data` was read or written."""
    return {"action": action, "share": share, "path": path, "size": len(data), "sha256": sha256(data), "complete": True, **more}


def expect(folder, name, **facts):
    """Writes NAME.expected.json beside the capture."""
    with open(os.path.join(folder, f"{name}.expected.json"), "w") as out:
        json.dump(facts, out, indent=1)
        out.write("\n")


def main(script, make, calls):
    """`SCRIPT [FOLDER]` makes the captures in FOLDER (default: beside the script); `SCRIPT --call NAME ...` is for the hosts."""
    if sys.argv[1:2] == ["--call"]:
        return calls[sys.argv[2]](*sys.argv[3:])
    # A lab that is interrupted still takes its namespaces down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    make(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(script)))
