#!/usr/bin/env python3
"""What pcapng has beside packets: two sections, names, secrets, drops, comments, flags, and blocks that nobody knows."""

from packets import *
from packets import struct

#: A TLS key log of a session that never was.
KEYS = b"CLIENT_RANDOM " + b"5a" * 32 + b" " + b"a5" * 48 + b"\n"


def exchange(net):
    a, b = f"10.70.{net}.1", f"10.70.{net}.2"
    return [ether(udp(a, b, 40001, 40002, b"a question")), ether(udp(b, a, 40002, 40001, b"an answer"))]


def capture():
    c = PcapNg()
    c.section(comment="the first section, little-endian")
    c.interface("lan0", description="nanoseconds")
    c.names([("10.70.1.1", "client.office.example"), ("10.70.1.2", "server.office.example"), ("2001:db8:70::1", "six.office.example")])
    c.secrets(KEYS)
    ask, reply = exchange(1)
    c.add(ALERT + 1, ask, comment="a comment", flags=2)  # outbound
    c.add(ALERT + 2, reply, flags=1)  # inbound
    c.block(0x00C0FFEE, b"a block of a type that nobody knows")
    c.block(0x0BAD, struct.pack("<I", 32473) + b"a custom block that may be copied")
    c.block(0x40000BAD, struct.pack("<I", 32473) + b"a custom block that must not be copied")
    c.obsolete(ALERT + SECOND, ask, drops=3)
    c.interface("lan1", description="declared after the first packets")
    c.add(ALERT + 2 * SECOND, ask, 1)
    c.statistics(ALERT + 3 * SECOND, 0, received=10, dropped=4, os_dropped=2, comment="four packets were lost here")
    c.statistics(ALERT + 3 * SECOND, 1, received=1, dropped=0)

    c.section(big=True, comment="the second section, big-endian")
    c.interface("lan0", resolution=6, description="microseconds, the same name as before")
    c.interface("lan2", resolution=0x80 | 20, description="units of 2^-20 s")
    c.interface("lan3", resolution=3, offset=1_500_000_000, description="milliseconds, counted from 2017-07-14T02:40:00Z")
    for number, packets in enumerate([exchange(2), exchange(3), exchange(4)]):
        for k, p in enumerate(packets):
            c.add(ALERT + 10 * SECOND + k * 500 * MS, p, number)
    c.names([("10.70.2.1", "client.second.example")])
    c.statistics(ALERT + 12 * SECOND, 0, received=2, dropped=7)
    return c


if __name__ == "__main__":
    main(__file__, capture())
