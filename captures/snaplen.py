#!/usr/bin/env python3
"""Packets cut by a snap length of 64, some cut much shorter, big-endian: their original length must survive."""

from packets import *


def capture():
    c = Pcap(snap=64, big=True)
    a, b = "10.60.0.1", "10.60.0.2"
    talk = Talk(a, b, 40001, 445)
    frames = [ether(p) for p in talk.open() + talk.send(0, text(20_000)) + talk.close()]
    frames += [ether(p) for p in (udp("2001:db8:60::1", "2001:db8:60::2", 40001, 40002, text(500)), ping(a, b, 1))]
    for i, frame in enumerate(frames):
        c.add(ALERT + i * MS, frame)
    # Cut inside each header: the address bytes that are there count, those that are not do not.
    whole = ether(tcp(a, b, 40003, 445, SYN, 1))
    for keep in (0, 1, 13, 14, 20, 26, 30, 33, 34, 36, 38, 50):
        c.add(ALERT + SECOND + keep * MS, whole, keep)
    six = ether(udp("2001:db8:60::1", "2001:db8:60::2", 40001, 40002, b"short"))
    for keep in (15, 22, 38, 53, 54, 56):
        c.add(ALERT + 2 * SECOND + keep * MS, six, keep)
    return c


if __name__ == "__main__":
    main(__file__, capture())
