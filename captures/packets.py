"""Builds packets and capture files byte by byte: what the scripts beside this file share. Standard library only.

The same script always gives the same bytes: numbers that look random come from `Rng`, never from the machine.
"""

import ipaddress
import os
import struct
import sys

ETHERNET = 1
#: 2018-06-21T10:42:00Z, the moment around which all captures here lie, in nanoseconds.
ALERT = 1_529_577_720 * 10**9
SECOND = 10**9
MS = 10**6

TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Rng:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (2**64 - 1)
        return z ^ z >> 31

    def below(self, n):
        return self.next() % n

    def pick(self, items):
        return items[self.below(len(items))]

    def bytes(self, n):
        return b"".join(struct.pack("<Q", self.next()) for _ in range(n // 8 + 1))[:n]


def text(n, seed=1):
    """n bytes that read like a report, and do not compress to nothing."""
    words = "the report of this month shows that sales in the north rose while costs in the south fell again".split()
    r, out = Rng(seed), ""
    while len(out) < n:
        out += r.pick(words) + (".\r\n" if r.below(9) == 0 else " ")
    return out[:n].encode()


# --- headers, innermost first -----------------------------------------------------------------------------------------


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo(src, dst, proto, length):
    if ":" in src:
        return packed(src) + packed(dst) + struct.pack("!IHBB", length, 0, 0, proto)
    return packed(src) + packed(dst) + struct.pack("!BBH", 0, proto, length)


def ip(src, dst, proto, payload, ident=0, offset=0, more=False, ttl=64):
    """An IPv4 or IPv6 packet. `offset` (bytes) and `more` make it a fragment; IPv6 then gets a fragment header."""
    if ":" in src:
        if offset or more:
            payload = struct.pack("!BBHI", proto, 0, offset | more, ident) + payload
            proto = 44
        return struct.pack("!IHBB", 6 << 28, len(payload), proto, ttl) + packed(src) + packed(dst) + payload
    flags = offset // 8 | (0x2000 if more else 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, flags, ttl, proto, 0) + packed(src) + packed(dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp_datagram(src, dst, sport, dport, payload):
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    total = checksum(pseudo(src, dst, UDP, 8 + len(payload)) + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", total) + payload


def udp(src, dst, sport, dport, payload, **more):
    return ip(src, dst, UDP, udp_datagram(src, dst, sport, dport, payload), **more)


def tcp(src, dst, sport, dport, flags, seq=0, ack=0, payload=b"", **more):
    options = b"\x02\x04\x05\xb4" if flags & SYN else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50 + len(options) * 4, flags, 64240, 0, 0) + options
    total = checksum(pseudo(src, dst, TCP, len(head) + len(payload)) + head + payload)
    return ip(src, dst, TCP, head[:16] + struct.pack("!H", total) + head[18:] + payload, **more)


def ping(src, dst, number, reply=False, **more):
    """An ICMP or ICMPv6 echo."""
    six = ":" in src
    kind = (129 if reply else 128) if six else (0 if reply else 8)
    body = struct.pack("!BBHHH", kind, 0, 0, 0x4242, number) + bytes(range(32))
    total = checksum((pseudo(src, dst, ICMP6, len(body)) if six else b"") + body)
    return ip(src, dst, ICMP6 if six else ICMP, body[:2] + struct.pack("!H", total) + body[4:], **more)


def mac(address):
    """A locally administered MAC address that goes with an IP address."""
    return b"\x02\x00" + packed(address)[-4:]


def ethertype(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def ether(packet, src=None, dst=None, kind=None):
    """Ethernet around an IP packet (addresses from its own) or around anything with `kind`."""
    if src is None:
        four = packet[0] >> 4 == 4
        a, b = (packet[12:16], packet[16:20]) if four else (packet[20:24], packet[36:40])
        src, dst = b"\x02\x00" + a, b"\x02\x00" + b
    return dst + src + struct.pack("!H", ethertype(packet) if kind is None else kind) + packet


def arp(op, sender, target):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + mac(sender) + packed(sender)
    body += (mac(target) if op == 2 else b"\0" * 6) + packed(target)
    return ether(body, mac(sender), mac(target) if op == 2 else b"\xff" * 6, 0x0806)


class Talk:
    """A TCP connection: each call gives the next IP packets of it."""

    def __init__(self, client, server, cport, sport, mss=1460, seed=7):
        self.ends = ((client, cport), (server, sport))
        self.seq = [(0x10000000 + seed * 7919) % 2**31, (0x20000000 + seed * 104729) % 2**31]
        self.mss = mss

    def packet(self, way, flags, payload=b""):
        (src, sport), (dst, dport) = self.ends[way], self.ends[1 - way]
        ack = self.seq[1 - way] if flags & ACK else 0
        out = tcp(src, dst, sport, dport, flags, self.seq[way], ack, payload)
        self.seq[way] += len(payload) + (1 if flags & (SYN | FIN) else 0)
        return out

    def open(self):
        return [self.packet(0, SYN), self.packet(1, SYN | ACK), self.packet(0, ACK)]

    def send(self, way, data):
        """`data` in segments, each second one acknowledged."""
        out = []
        for i, at in enumerate(range(0, len(data), self.mss)):
            piece = data[at : at + self.mss]
            out.append(self.packet(way, ACK | (PSH if at + self.mss >= len(data) else 0), piece))
            if i % 2 == 1:
                out.append(self.packet(1 - way, ACK))
        return out

    def close(self):
        return [self.packet(0, FIN | ACK), self.packet(1, FIN | ACK), self.packet(0, ACK)]


# --- capture files ----------------------------------------------------------------------------------------------------


class Pcap:
    """A classic capture file. `packets` keeps (link type, bytes) of what was written."""

    extension = "pcap"

    def __init__(self, link=ETHERNET, snap=262144, nano=False, big=False):
        self.order, self.link, self.snap = ">" if big else "<", link, snap
        self.unit = 1 if nano else 1000
        magic = 0xA1B23C4D if nano else 0xA1B2C3D4
        self.data = struct.pack(self.order + "IHHiIII", magic, 2, 4, 0, 0, snap, link)
        self.packets = []

    def add(self, ns, packet, keep=None):
        """One packet; only its first `keep` bytes, and never more than the snap length."""
        cut = packet[: self.snap if keep is None else min(keep, self.snap)]
        head = struct.pack(self.order + "IIII", ns // SECOND, ns % SECOND // self.unit, len(cut), len(packet))
        self.data += head + cut
        self.packets.append((self.link, cut))


class PcapNg:
    """A pcapng file: sections in either byte order, any block."""

    extension = "pcapng"

    def __init__(self):
        self.data = b""
        self.packets = []

    def option(self, code, value):
        value = value.encode() if isinstance(value, str) else value
        return struct.pack(self.order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)

    def options(self, pairs):
        out = b"".join(self.option(code, value) for code, value in pairs if value is not None)
        return out + struct.pack(self.order + "HH", 0, 0) if out else b""

    def block(self, kind, body):
        body += b"\0" * (-len(body) % 4)
        length = struct.pack(self.order + "I", 12 + len(body))
        self.data += struct.pack(self.order + "I", kind) + length + body + length

    def section(self, big=False, comment=None, application="taploop captures"):
        self.order, self.interfaces = ">" if big else "<", []
        body = struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
        self.block(0x0A0D0D0A, body + self.options([(1, comment), (4, application)]))

    def interface(self, name=None, link=ETHERNET, snap=262144, resolution=9, offset=0, description=None):
        """`resolution` as if_tsresol has it: a negative power of ten, or with bit 7 of two. `offset` in seconds."""
        pairs = [(2, name), (3, description)]
        if resolution != 6:
            pairs.append((9, bytes([resolution])))
        if offset:
            pairs.append((14, struct.pack(self.order + "q", offset)))
        self.block(1, struct.pack(self.order + "HHI", link, 0, snap) + self.options(pairs))
        per_second = 2 ** (resolution & 127) if resolution & 128 else 10**resolution
        self.interfaces.append((link, snap, per_second, offset))

    def ticks(self, number, ns):
        _, _, per_second, offset = self.interfaces[number]
        t = (ns - offset * SECOND) * per_second // SECOND
        return struct.pack(self.order + "II", t >> 32, t & 0xFFFFFFFF)

    def add(self, ns, packet, interface=0, comment=None, flags=None, keep=None):
        link, snap, _, _ = self.interfaces[interface]
        cut = packet[: snap if keep is None else min(keep, snap)]
        body = struct.pack(self.order + "I", interface) + self.ticks(interface, ns)
        body += struct.pack(self.order + "II", len(cut), len(packet)) + cut + b"\0" * (-len(cut) % 4)
        flags = None if flags is None else struct.pack(self.order + "I", flags)
        self.block(6, body + self.options([(1, comment), (2, flags)]))
        self.packets.append((link, cut))

    def obsolete(self, ns, packet, interface=0, drops=0):
        """The packet block that the enhanced one replaced."""
        body = struct.pack(self.order + "HH", interface, drops) + self.ticks(interface, ns)
        body += struct.pack(self.order + "II", len(packet), len(packet)) + packet
        self.block(2, body)
        self.packets.append((self.interfaces[interface][0], packet))

    def simple(self, packet):
        """A packet without a time, of the section's first interface."""
        link, snap, _, _ = self.interfaces[0]
        self.block(3, struct.pack(self.order + "I", len(packet)) + packet[:snap])
        self.packets.append((link, packet[:snap]))

    def names(self, pairs):
        """A name resolution block."""
        body = b""
        for address, name in pairs:
            value = packed(address) + name.encode() + b"\0"
            body += self.option(2 if ":" in address else 1, value)
        self.block(4, body + struct.pack(self.order + "HH", 0, 0))

    def secrets(self, key_log):
        """A decryption secrets block with a TLS key log."""
        self.block(10, struct.pack(self.order + "II", 0x544C534B, len(key_log)) + key_log)

    def statistics(self, ns, interface=0, received=None, dropped=None, os_dropped=None, comment=None):
        eight = lambda n: None if n is None else struct.pack(self.order + "Q", n)
        body = struct.pack(self.order + "I", interface) + self.ticks(interface, ns)
        self.block(5, body + self.options([(1, comment), (4, eight(received)), (5, eight(dropped)), (7, eight(os_dropped))]))


def main(script, capture):
    """Writes `capture` into the folder given on the command line, else beside the script, under the script's name."""
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(script))
    stem = os.path.splitext(os.path.basename(script))[0]
    with open(os.path.join(folder, f"{stem}.{capture.extension}"), "wb") as out:
        out.write(capture.data)
