#!/usr/bin/env python3
"""Fragments of IPv4 and IPv6: which of them know their ports. Each case has its own pair of hosts and its own ports."""

from packets import *

CASES = [
    # hosts .1 and .2 of net N; the fragments in the order they arrive, each as (piece, nanoseconds after the case's start)
    ("in order", [(0, 0), (1, MS), (2, 2 * MS)]),
    ("the first one last: the others have no ports", [(1, 0), (2, MS), (0, 2 * MS)]),
    ("30 s after the first, to the nanosecond: ports", [(0, 0), (1, 30 * SECOND), (2, 30 * SECOND)]),
    ("1 ns over 30 s after the first: no ports", [(0, 0), (1, 30 * SECOND + 1), (2, 30 * SECOND + 2)]),
    ("twice the same", [(0, 0), (0, MS), (1, 2 * MS), (1, 3 * MS), (2, 4 * MS)]),
    ("the first never comes", [(1, 0), (2, MS)]),
    ("backwards in time: the later ones carry an earlier time", [(0, 5 * SECOND), (1, 0), (2, MS)]),
]


def pieces(src, dst, sport, dport, ident):
    datagram = udp_datagram(src, dst, sport, dport, text(2400, ident))
    cut = [(0, 1000), (1000, 2000), (2000, len(datagram))]
    return [ip(src, dst, UDP, datagram[a:b], ident=ident, offset=a, more=b < len(datagram)) for a, b in cut]


def capture():
    c = Pcap(nano=True)
    packets = []
    for family, net in (("4", "10.30.{}.{}"), ("6", "2001:db8:30:{}::{}")):
        for i, (_, order) in enumerate(CASES):
            a, b = net.format(i + 1, 1), net.format(i + 1, 2)
            made = pieces(a, b, 30000 + i, 31000 + i, 100 + i)
            for piece, after in order:
                packets.append((i * 100 * SECOND + after, ether(made[piece])))
    # One identification used again, with other ports: the later pieces belong to the newer first one.
    a, b = "10.30.8.1", "10.30.8.2"
    old, new = pieces(a, b, 30007, 31007, 500), pieces(a, b, 30107, 31107, 500)
    for k, p in enumerate([old[0], old[1], new[0], new[1], new[2]]):
        packets.append((700 * SECOND + k * MS, ether(p)))
    # A fragment too short for its ports.
    short = ip("10.30.9.1", "10.30.9.2", UDP, b"\x75", ident=600, more=True)
    packets.append((800 * SECOND, ether(short)))
    # In order of arrival, which is not everywhere the order of time: the cases stand one after the other.
    for after, frame in packets:
        c.add(ALERT + after, frame)
    return c


if __name__ == "__main__":
    main(__file__, capture())
