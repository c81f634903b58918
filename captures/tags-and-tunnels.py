#!/usr/bin/env python3
"""Hosts behind tags and in tunnels. Each way of wrapping has its own second, its own inner /24 and four packets."""

from packets import *
from packets import struct

OUTER = ("192.0.2.1", "192.0.2.2")
OUTER6 = ("2001:db8:ffff::1", "2001:db8:ffff::2")
PLAIN_MACS = (b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02")


def vlan(packet, *tags):
    """802.1Q or 802.1ad tags, outermost first, as (type, identifier)."""
    inner, kind = packet, ethertype(packet)
    for tpid, number in reversed(tags):
        inner, kind = struct.pack("!HH", number, kind) + inner, tpid
    return ether(inner, *PLAIN_MACS, kind)


def mpls(packet, *labels):
    stack = b""
    for i, label in enumerate(labels):
        stack += struct.pack("!I", label << 12 | (i == len(labels) - 1) << 8 | 64)
    return ether(stack + packet, *PLAIN_MACS, 0x8847)


def pppoe(packet):
    ppp = struct.pack("!H", 0x0057 if packet[0] >> 4 == 6 else 0x0021) + packet
    return ether(struct.pack("!BBHH", 0x11, 0, 0x0101, len(ppp)) + ppp, *PLAIN_MACS, 0x8864)


def snap(packet):
    body = b"\xaa\xaa\x03\0\0\0" + struct.pack("!H", ethertype(packet)) + packet
    return ether(body, *PLAIN_MACS, len(body))


def gre(packet, kind=None, key=None, sequence=None, outer=OUTER):
    flags = (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    head = struct.pack("!HH", flags, ethertype(packet) if kind is None else kind)
    head += b"".join(struct.pack("!I", x) for x in (key, sequence) if x is not None)
    return ether(ip(*outer, 47, head + packet))


def vxlan(frame, outer=OUTER):
    return ether(udp(*outer, 50001, 4789, struct.pack("!II", 0x08000000, 4242 << 8) + frame))


def geneve(frame, kind=0x6558, option=b""):
    head = struct.pack("!BBHI", len(option) // 4, 0, kind, 777 << 8)
    return ether(udp(*OUTER, 50002, 6081, head + option + frame))


def gtp(packet, extended=False):
    extra = b"\0\x01\0\0" if extended else b""
    return ether(udp(*OUTER, 2152, 2152, struct.pack("!BBHI", 0x32 if extended else 0x30, 0xFF, len(extra + packet), 99) + extra + packet))


def erspan2(frame):
    head = struct.pack("!HHI", 1 << 12 | 100, 0x1800 | 5, 7)
    return gre(head + frame, 0x88BE, sequence=1)


def erspan3(frame):
    return gre(struct.pack("!HHIHH", 2 << 12 | 100, 5, 123456, 0, 0) + frame, 0x22EB, sequence=2)


def dashes(packet):
    """Teredo (RFC 4380): IPv6 right in a UDP datagram."""
    return ether(udp(*OUTER, 50003, 3544, packet))


WRAPPINGS = [
    # name, inner net, what is put around the inner IP packet
    ("VLAN 100", "10.20.1", lambda p: vlan(p, (0x8100, 100))),
    ("QinQ 200, 201", "10.20.2", lambda p: vlan(p, (0x88A8, 200), (0x8100, 201))),
    ("three tags 300, 301, 302", "10.20.3", lambda p: vlan(p, (0x8100, 300), (0x8100, 301), (0x8100, 302))),
    ("MPLS, one label", "10.20.4", lambda p: mpls(p, 16)),
    ("MPLS, three labels", "10.20.5", lambda p: mpls(p, 17, 18, 19)),
    ("PPPoE", "10.20.6", pppoe),
    ("LLC/SNAP", "10.20.7", snap),
    ("GRE", "10.20.8", gre),
    ("GRE with key and sequence", "10.20.9", lambda p: gre(p, key=5, sequence=6)),
    ("Ethernet in GRE", "10.20.10", lambda p: gre(ether(p), 0x6558)),
    ("VXLAN", "10.20.11", lambda p: vxlan(ether(p))),
    ("VLAN 400 in VXLAN", "10.20.12", lambda p: vxlan(vlan(p, (0x8100, 400)))),
    ("VXLAN over IPv6", "10.20.13", lambda p: vxlan(ether(p), OUTER6)),
    ("GENEVE", "10.20.14", lambda p: geneve(ether(p))),
    ("GENEVE with an option, IP right inside", "10.20.15", lambda p: geneve(p, ethertype(p), struct.pack("!HBBI", 0x0102, 0x80, 1, 5))),
    ("IP in IP", "10.20.16", lambda p: ether(ip(*OUTER, 4, p))),
    ("IPv4 in IPv6", "10.20.17", lambda p: ether(ip(*OUTER6, 4, p))),
    ("6in4", "2001:db8:20:18:", lambda p: ether(ip(*OUTER, 41, p))),
    ("IPv6 in IPv6", "2001:db8:20:19:", lambda p: ether(ip(*OUTER6, 41, p))),
    ("Teredo", "2001:db8:20:20:", dashes),
    ("GTP-U", "10.20.21", gtp),
    ("GTP-U with a sequence number", "10.20.22", lambda p: gtp(p, True)),
    ("ERSPAN II", "10.20.23", lambda p: erspan2(ether(p))),
    ("ERSPAN III", "10.20.24", lambda p: erspan3(ether(p))),
    ("ERSPAN I", "10.20.25", lambda p: gre(ether(p), 0x88BE)),
    ("GRE in VLAN 500 in VXLAN", "10.20.26", lambda p: vxlan(vlan(gre(p)[14:], (0x8100, 500)))),
    ("VLAN 600 before an IPv6 packet", "2001:db8:20:27:", lambda p: vlan(p, (0x8100, 600))),
]


def inner(net):
    """Four packets between the net's hosts 1 and 2: a question and an answer in UDP, a ping, the start of a connection."""
    join = ":" if ":" in net else "."
    a, b = f"{net}{join}1", f"{net}{join}2"
    return [
        udp(a, b, 40001, 40002, b"a question"),
        udp(b, a, 40002, 40001, b"an answer"),
        ping(a, b, 1),
        tcp(a, b, 40003, 445, SYN, 1000),
    ]


def capture():
    c = Pcap()
    for i, (_, net, wrap) in enumerate(WRAPPINGS):
        for k, packet in enumerate(inner(net)):
            c.add(ALERT + i * SECOND + k * 10 * MS, wrap(packet))
    # Tags with nothing above them that has addresses, and a tag that is cut off.
    c.add(ALERT + 60 * SECOND, ether(struct.pack("!HH", 700, 0x88B5) + b"local experiment", *PLAIN_MACS, 0x8100))
    c.add(ALERT + 61 * SECOND, ether(struct.pack("!HH", 701, 0x0800), *PLAIN_MACS, 0x8100))
    return c


if __name__ == "__main__":
    main(__file__, capture())
