#!/usr/bin/env python3
"""One interface of each link type, named after it; the same exchange on all that carry IP."""

from packets import *
from packets import struct


def packets(i):
    a, b = f"10.40.{i}.1", f"10.40.{i}.2"
    return [udp(a, b, 40001, 40002, b"a question"), udp(b, a, 40002, 40001, b"an answer"), tcp(a, b, 40003, 445, SYN, 1)]


def packets6(i):
    a, b = f"2001:db8:40:{i}::1", f"2001:db8:40:{i}::2"
    return [udp(a, b, 40001, 40002, b"a question"), ping(a, b, 1), ping(b, a, 1, True)]


def four(p):
    return p[0] >> 4 == 4


def wifi(p):
    """A data frame from a station to its access point."""
    head = b"\x08\x01\0\0" + b"\x02\0\0\0\0\x10" + b"\x02\0\0\0\0\x11" + b"\x02\0\0\0\0\x12" + b"\x10\0"
    return head + b"\xaa\xaa\x03\0\0\0" + struct.pack("!H", ethertype(p)) + p


LINKS = [
    # name, LINKTYPE number, what stands before an IP packet
    ("ethernet", 1, lambda p: ether(p)),
    ("raw", 101, lambda p: p),
    ("null", 0, lambda p: struct.pack("<I", 2 if four(p) else 30) + p),
    ("loop", 108, lambda p: struct.pack(">I", 2 if four(p) else 24) + p),
    ("sll", 113, lambda p: struct.pack("!HHH8sH", 0, 1, 6, b"\x02\0\0\0\0\x20", ethertype(p)) + p),
    ("sll2", 276, lambda p: struct.pack("!HHIHBB8s", ethertype(p), 0, 3, 1, 0, 6, b"\x02\0\0\0\0\x21") + p),
    ("wifi", 105, wifi),
    ("radiotap", 127, lambda p: b"\0\0\x08\0\0\0\0\0" + wifi(p)),
    ("ppp", 9, lambda p: b"\xff\x03" + struct.pack("!H", 0x0021 if four(p) else 0x0057) + p),
    ("ipv4", 228, lambda p: p if four(p) else None),
    ("ipv6", 229, lambda p: None if four(p) else p),
    ("user0", 147, lambda p: b"no layer knows this: " + p[:8]),
]


def capture():
    c = PcapNg()
    c.section(comment="one interface a link type; made by captures/many-links.py")
    for name, link, _ in LINKS:
        c.interface(name, link)
    for number, (_, _, wrap) in enumerate(LINKS):
        for k, p in enumerate(packets(number) + packets6(number)):
            frame = wrap(p)
            if frame is not None:
                # The interfaces take turns: a cut over all of them has to merge.
                c.add(ALERT + k * SECOND + number * MS, frame, number)
    return c


if __name__ == "__main__":
    main(__file__, capture())
