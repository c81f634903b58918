#!/usr/bin/env python3
"""Packets without a time, on an interface without a name, cut at 96 bytes."""

from packets import *


def capture():
    c = PcapNg()
    c.section()
    c.interface(snap=96)
    a, b = "10.80.0.1", "10.80.0.2"
    for i in range(8):
        c.simple(ether(udp(a, b, 40001 + i, 40002, text(20 + i * 21))))
    c.interface(snap=96)
    c.add(ALERT, ether(udp(a, b, 40001, 40002, b"this one has a time")), 1)
    return c


if __name__ == "__main__":
    main(__file__, capture())
