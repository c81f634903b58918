#!/usr/bin/env python3
"""A capture that ends in the middle of its last packet, as a full disk leaves it."""

from packets import *


def capture():
    c = Pcap()
    for i in range(20):
        c.add(ALERT + i * SECOND, ether(udp("10.90.0.1", "10.90.0.2", 40001, 40002, b"packet %02d" % i)))
    c.data = c.data[:-17]
    return c


if __name__ == "__main__":
    main(__file__, capture())
