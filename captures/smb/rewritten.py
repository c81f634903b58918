#!/usr/bin/python3
"""`smb2-10.pcap` once more, its packets rewritten where no cable here can do it: in QinQ, in IP fragments, with sequence
numbers that wrap inside the files. Only headers differ; the messages and the times are those of the original."""

import json
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dialects import READ, WRITTEN
from lab import HERE, expect, main, read_pcap, write_pcap
from packets import checksum, ip, pseudo

#: Bytes of IP payload in a fragment: a link whose MTU is 596.
PIECE = 576
CLIENT = bytes((10, 1, 2, 3))


def in_qinq(frame):
    """An outer 802.1ad tag for VLAN 100 and an inner 802.1Q tag for VLAN 7."""
    return frame[:12] + struct.pack("!HHHH", 0x88A8, 100, 0x8100, 7) + frame[12:]


def fragments(frame, ident):
    """The frames of a packet's fragments; every third packet's come last one first."""
    packet = frame[14:]
    src, dst = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
    payload = packet[20 : struct.unpack_from("!H", packet, 2)[0]]
    starts = range(0, len(payload), PIECE)
    out = [ip(src, dst, 6, payload[at : at + PIECE], ident=ident, offset=at, more=at + PIECE < len(payload)) for at in starts]
    return [frame[:14] + one for one in (out[::-1] if ident % 3 == 0 else out)]


def parts(frame):
    """An Ethernet frame with IPv4 and TCP in it: the IP header, the TCP header, the data."""
    packet = frame[14:]
    packet = packet[: struct.unpack_from("!H", packet, 2)[0]]
    head = (packet[32] >> 4) * 4
    return packet[:20], packet[20 : 20 + head], packet[20 + head :]


def shifted(frame, by):
    """The frame with its sequence numbers moved, by[0] those of the client and by[1] those of the server."""
    outer, tcp, data = parts(frame)
    way = 0 if outer[12:16] == CLIENT else 1
    move = lambda n, way: (n + by[way]) & 0xFFFFFFFF
    seq, ack = struct.unpack_from("!II", tcp, 4)
    tcp = bytearray(tcp)
    struct.pack_into("!II", tcp, 4, move(seq, way), move(ack, 1 - way) if tcp[13] & 16 else 0)
    at = 20
    while at < len(tcp) and tcp[at] != 0:
        if tcp[at] == 5:  # SACK: ranges of the other side's numbers.
            for i in range(at + 2, at + tcp[at + 1], 4):
                struct.pack_into("!I", tcp, i, move(struct.unpack_from("!I", tcp, i)[0], 1 - way))
        at += 1 if tcp[at] == 1 else tcp[at + 1]
    tcp[16:18] = b"\0\0"
    src, dst = (".".join(map(str, outer[i : i + 4])) for i in (12, 16))
    tcp[16:18] = struct.pack("!H", checksum(pseudo(src, dst, 6, len(tcp) + len(data)) + bytes(tcp) + data))
    return frame[:14] + outer + bytes(tcp) + data


def number_of(packets, way, data):
    """The sequence number of the middle of `data` in one direction."""
    for _, frame, _ in packets:
        outer, tcp, payload = parts(frame)
        at = payload.find(data[:100])
        if at >= 0 and (outer[12:16] == CLIENT) == (way == 0):
            return struct.unpack_from("!I", tcp, 4)[0] + at + len(data) // 2
    raise SystemExit("the file is not where it should be")


def make(folder):
    packets = read_pcap(f"{HERE}/smb2-10.pcap")
    with open(f"{HERE}/smb2-10.expected.json") as file:
        facts = json.load(file)

    write_pcap(f"{folder}/smb-in-qinq.pcap", [(t, in_qinq(f), n + 8) for t, f, n in packets])
    expect(folder, "smb-in-qinq", **facts, vlans=[100, 7])

    out = []
    for number, (t, frame, _) in enumerate(packets):
        out += [(t, one, len(one)) for one in fragments(frame, number + 1)]
    write_pcap(f"{folder}/smb-ip-fragments.pcap", out)
    expect(folder, "smb-ip-fragments", **facts)

    by = [-number_of(packets, 0, WRITTEN["report.txt"]), -number_of(packets, 1, READ["minutes.txt"])]
    write_pcap(f"{folder}/sequence-wrap.pcap", [(t, shifted(f, by), n) for t, f, n in packets])
    expect(folder, "sequence-wrap", **facts)


if __name__ == "__main__":
    main(__file__, make, {})
