#!/usr/bin/env python3
"""Packets whose times run backwards, jump and repeat; the number in the payload is the order of arrival."""

from packets import *


def times():
    yield from (i * 10 * MS for i in range(50))  # forwards
    yield from (10 * SECOND - i * 10 * MS for i in range(200))  # backwards
    yield from [5 * SECOND] * 20  # all at once: order of arrival decides
    r = Rng(11)
    yield from (r.below(20 * SECOND) for _ in range(200))  # anyhow
    yield from (-3600 * SECOND, 3600 * SECOND, 0)  # the clock was set


def capture():
    c = Pcap(nano=True)
    for i, t in enumerate(times()):
        host = f"10.50.0.{i % 7 + 1}"
        c.add(ALERT + t, ether(udp(host, "10.50.1.1", 40000 + i % 3, 40002, b"packet %06d" % i)))
    return c


if __name__ == "__main__":
    main(__file__, capture())
