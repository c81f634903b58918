#!/usr/bin/env python3
"""A quiet office, 25 minutes around 2018-06-21T10:42:00Z, seen at two interfaces."""

from packets import *
from packets import struct

ETH0, ETH1 = 0, 1
WATCHED = "10.1.2.3"
CLIENTS = [WATCHED, "10.1.2.4", "10.1.2.5", "10.1.2.30"]
FILES, NAMES, WEB = "10.1.2.10", "10.1.2.53", "192.0.2.80"
SIX, NAMES_SIX = "2001:db8:1:2::4", "2001:db8:1:2::53"


def question(name, ident, kind=1):
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def answer(asked, address):
    raw = packed(address)
    record = struct.pack("!HHHIH", 0xC00C, 28 if len(raw) == 16 else 1, 1, 300, len(raw)) + raw
    return asked[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + asked[12:] + record


def smb2(command, message, body, reply=False, tree=0, session=0x11):
    """An SMB2 message in its direct TCP frame ([MS-SMB2] 2.1, 2.2.1.2)."""
    head = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, command, 1, int(reply), 0, message, 0xFEFF, tree, session)
    whole = head + b"\0" * 16 + body
    return struct.pack("!I", len(whole)) + whole


def write_file(talk, share, data, piece=16384):
    """The messages of writing `data`, as (way, bytes); logging on is left out, so this is no real session."""
    guid = bytes(range(16))
    yield 0, smb2(0, 0, struct.pack("<HHHHI", 36, 1, 1, 0, 0) + guid + b"\0" * 8 + struct.pack("<H", 0x0210), session=0)
    reply = struct.pack("<HHHH", 65, 1, 0x0210, 0) + guid + struct.pack("<IIIIQQHHI", 0, 65536, 65536, 65536, 0, 0, 128, 0, 0)
    yield 1, smb2(0, 0, reply, True, session=0)
    path = f"\\\\{FILES}\\{share}".encode("utf-16-le")
    yield 0, smb2(3, 1, struct.pack("<HHHH", 9, 0, 72, len(path)) + path)
    yield 1, smb2(3, 1, struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF), True, tree=5)
    for i, at in enumerate(range(0, len(data), piece)):
        part = data[at : at + piece]
        body = struct.pack("<HHIQ", 49, 112, len(part), at) + guid + struct.pack("<IIHHI", 0, 0, 0, 0, 0) + part
        yield 0, smb2(9, 2 + i, body, tree=5)
        yield 1, smb2(9, 2 + i, struct.pack("<HHIIHH", 17, 0, len(part), 0, 0, 0) + b"\0", True, tree=5)


def traffic():
    """(time, interface, Ethernet frame, comment) in no order."""
    out, r = [], Rng(20180621)

    def put(at, packets, interface=ETH0, step=300_000, comment=None):
        for p in packets:
            out.append((at, interface, p if isinstance(p, Frame) else ether(p), comment))
            comment = None
            at += step + r.below(step)
        return at

    start = ALERT - 12 * 60 * SECOND
    for minute in range(25):
        at = start + minute * 60 * SECOND
        for i, client in enumerate(CLIENTS):
            t = at + r.below(50) * SECOND + r.below(SECOND)
            number = minute * 10 + i
            asked = question(r.pick(["files.office.example", "www.example.com", "mail.office.example"]), number + 1)
            port = 49152 + number
            put(t, [Frame(arp(1, client, NAMES)), Frame(arp(2, NAMES, client))], step=90_000)
            t = put(t + MS, [udp(client, NAMES, port, 53, asked), udp(NAMES, client, 53, port, answer(asked, WEB))])
            if (minute + i) % 3 == 0:
                talk = Talk(client, WEB, port, 80, seed=number)
                page = text(900 + r.below(9000), number)
                get = f"GET /news/{minute} HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: office\r\n\r\n".encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(page)}\r\n\r\n".encode()
                put(t, talk.open() + talk.send(0, get) + talk.send(1, head + page) + talk.close(), ETH1, 2 * MS)
            if (minute + i) % 5 == 2:
                put(t + SECOND, [ping(client, FILES, minute), ping(FILES, client, minute, True)])
        asked = question("www.example.com", 500 + minute, 28)
        t = at + 30 * SECOND + r.below(SECOND)
        put(t, [udp(SIX, NAMES_SIX, 50000 + minute, 53, asked), udp(NAMES_SIX, SIX, 53, 50000 + minute, answer(asked, SIX))])
    # Files go to the server: each client one, the watched host three within the five minutes around 10:42.
    for client, second, size in [
        (WATCHED, -130, 60_000),
        (WATCHED, -4, 90_000),
        (WATCHED, 95, 30_000),
        ("10.1.2.4", -400, 30_000),
        ("10.1.2.5", 60, 40_000),
        ("10.1.2.30", 500, 20_000),
    ]:
        talk = Talk(client, FILES, 51000 + (second + 500) // 2, 445, seed=size)
        packets = talk.open()
        for way, message in write_file(talk, "reports", text(size, size)):
            packets += talk.send(way, message)
        note = "the transfer that the alert was about" if second == -4 else None
        put(ALERT + second * SECOND + 123_456_789, packets + talk.close(), comment=note)
    # A packet exactly on each edge of the five minutes: the first is inside, the second is not.
    for edge in (-150, 150):
        out.append((ALERT + edge * SECOND, ETH0, ether(ping(WATCHED, NAMES, 1000 + edge)), None))
    return sorted(out, key=lambda x: x[0])


class Frame(bytes):
    """Bytes that have their Ethernet header already."""


def capture():
    c = PcapNg()
    c.section(comment="a quiet office; made by captures/office.py")
    c.interface("eth0", description="office network")
    c.interface("eth1", description="uplink")
    last = 0
    for at, interface, frame, comment in traffic():
        c.add(at, frame, interface, comment)
        last = at
    c.statistics(last, 0, received=len(c.packets), dropped=0)
    c.statistics(last, 1, received=len(c.packets), dropped=0)
    return c


if __name__ == "__main__":
    main(__file__, capture())
