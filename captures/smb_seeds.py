"""Seeds for fuzzing out of the captures in smb/: SMB streams, compressed messages, security tokens, DCE/RPC, call arguments, packets."""

import gzip
import os
import struct

# Captures of each kind; the others differ in nothing that a parser sees.
STREAMS = """smb1-nt1 smb1-plain smb2-02 smb311-encrypted smb-compressed smb-compressed-chained smb-port139 multichannel two-users
rpc-smb1 malicious-twin""".split()
CALLS = "rpc-smb1 rpc-smb2 rpc-sealed malicious-twin task-fragments task-sealed".split()
PACKETS = "smb-in-qinq smb-ip-fragments smb-snaplen".split()

# The link types of the target "flow", in its order.
LINKS = [1, 101, 228, 229, 113, 276, 0, 9]

# The interfaces of the target "task_arguments", in its order.
INTERFACES = """1ff70682-0a51-30e8-076d-740be8cee98b 378e52b0-c0a9-11cf-822d-00aa0051e40f 86d35949-83c9-4044-b424-db363231fd0c
367abb81-9844-35f1-ad32-98f038001003 338cd001-2244-31f1-aaaa-900038001003 12345778-1234-abcd-ef00-0123456789ac
4b324fc8-1670-01d3-1278-5a47bf6ee188 e1af8308-5d1f-11c9-91a4-08002b14a0fa""".split()
NDR64 = bytes.fromhex("33057171babe37498319b5dbef9ccc36")

# Bytes of a message's content that are kept: parsers see no difference.
CONTENT_MAX = 600


def uuid(text):
    a, b, c, d, e = text.split("-")
    return struct.pack("<LHH", int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


def packets(path):
    """Link type, packet and captured-away bytes of a classic capture file."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link, at, out = struct.unpack_from(order + "L", data, 20)[0] & 0xFFFF, 24, []
    while at + 16 <= len(data):
        length, original = struct.unpack_from(order + "LL", data, at + 8)
        out.append((link, data[at + 16 : at + 16 + length], original - length))
        at += 16 + length
    return out


def streams(path):
    """The directions of an in-order capture's TCP connections: (ports, way) -> payloads, each with when it came."""
    out, first = {}, {}
    for number, (link, packet, _) in enumerate(packets(path)):
        at = packet.find(b"\x08\x00\x45")
        if link == 1 and at >= 12:
            packet = packet[at + 2 :]
        if packet[:1] != b"\x45" or packet[9] != 6:
            continue
        packet = packet[: struct.unpack(">H", packet[2:4])[0]]
        source, target, sequence = struct.unpack(">HHL", packet[20:28])
        payload = packet[20 + (packet[32] >> 4) * 4 :]
        if packet[33] & 2:
            first[source, target] = sequence + 1
        begin = (sequence - first.get((source, target), sequence)) & 0xFFFFFFFF
        key = (max(source, target), source < target)
        held = out.setdefault(key, [[], 0])
        if payload and begin == held[1]:
            held[0].append((number, payload))
            held[1] += len(payload)
    return {key: payloads for key, (payloads, _) in out.items()}


def messages(path):
    """Messages of all connections in order: (when, connection, is_server, bytes without the NetBIOS header)."""
    out = []
    for (connection, is_server), payloads in streams(path).items():
        held = b""
        for number, payload in payloads:
            held += payload
            while len(held) >= 4:
                length = int.from_bytes(held[1:4], "big")
                if len(held) < 4 + length:
                    break
                out.append((number, connection, is_server, held[4 : 4 + length]))
                held = held[4 + length :]
    return sorted(out, key=lambda m: m[0])


def piece(how, data, prefix=b""):
    return bytes([how]) + struct.pack("<H", len(data)) + prefix + data


def smb_stream(found):
    out, connections = b"", []
    for _, connection, is_server, message in found:
        if connection not in connections:
            connections.append(connection)
        how = is_server | connections.index(connection) % 2 << 3
        if len(message) <= CONTENT_MAX or message[:4] != b"\xfeSMB":
            out += piece(how | 4, message[: 1 << 15])
        else:
            # A header that says how much there was, the first bytes, and a gap.
            head = struct.pack(">L", len(message)) + message[:CONTENT_MAX]
            out += piece(how, head) + bytes([how | 2]) + struct.pack("<H", min(len(message) - CONTENT_MAX, 0xFFFF))
    return out


def tokens(found):
    """Security tokens of SMB2's session set-ups."""
    out = []
    for _, _, is_server, message in found:
        if message[:4] == b"\xfeSMB" and message[12:14] == b"\x01\x00":
            offset, length = struct.unpack_from("<HH", message, 64 + (4 if is_server else 12))
            token = message[offset : offset + length]
            if token:
                out.append((is_server, token))
    return out


def pdus(found):
    """DCE/RPC PDUs that lie whole in a message."""
    out = []
    for _, _, is_server, message in found:
        at = 0
        while (at := message.find(b"\x05\x00", at)) >= 0:
            head = message[at : at + 16]
            if len(head) == 16 and head[2] < 20 and head[4:8] == b"\x10\0\0\0":
                length = struct.unpack_from("<H", head, 8)[0]
                if length >= 16 and at + length <= len(message):
                    out.append((is_server, message[at : at + length]))
                    at += length
                    continue
            at += 1
    return out


def calls(found):
    """Requests with their answers: (interface, ndr64, operation, stub, stub of the answer)."""
    names = {uuid(name): i for i, name in enumerate(INTERFACES)}
    interface, ndr64, asked, out = None, False, {}, []
    for _, pdu in found:
        kind, call, sealed = pdu[2], pdu[12:16], pdu[10:12] != b"\0\0"
        if kind in (11, 14):
            interface, ndr64 = names.get(pdu[32:48]), NDR64 in pdu[:400]
        elif kind == 0 and interface is not None and not sealed:
            asked[call] = (interface, ndr64, struct.unpack_from("<H", pdu, 22)[0], pdu[24:])
        elif kind == 2 and call in asked and not sealed:
            out.append(asked.pop(call) + (pdu[24:],))
    return out


def der(tag, *parts):
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))
    return bytes([tag]) + length + body


def kerberos():
    """An AS-REQ, a TGS-REP and the AP-REQ with its ticket (RFC 4120), made up."""
    number = lambda n: der(0x02, bytes([n]))
    text = lambda t: der(0x1B, t.encode())
    name = lambda kind, *parts: der(0x30, der(0xA0, number(kind)), der(0xA1, der(0x30, *map(text, parts))))
    sealed = lambda n: der(0x30, der(0xA0, number(18)), der(0xA1, number(2)), der(0xA2, der(0x04, bytes(range(n)))))
    realm = text("EXAMPLE.TEST")
    ticket = der(0x61, der(0x30, der(0xA0, number(5)), der(0xA1, realm), der(0xA2, name(2, "cifs", "files")), der(0xA3, sealed(200))))
    body = der(
        0x30,
        der(0xA0, der(0x03, bytes(5))),
        der(0xA1, name(1, "anna")),
        der(0xA2, realm),
        der(0xA3, name(2, "krbtgt", "EXAMPLE.TEST")),
        der(0xA5, der(0x18, b"20370913024805Z")),
        der(0xA7, number(7)),
        der(0xA8, der(0x30, number(18), number(17), number(23))),
    )
    asked = der(0x6A, der(0x30, der(0xA1, number(5)), der(0xA2, number(10)), der(0xA4, body)))
    given = der(
        0x6D,
        der(0x30, der(0xA0, number(5)), der(0xA1, number(13)), der(0xA3, realm), der(0xA4, name(1, "anna")), der(0xA5, ticket), der(0xA6, sealed(90))),
    )
    used = der(
        0x6E,
        der(0x30, der(0xA0, number(5)), der(0xA1, number(14)), der(0xA2, der(0x03, bytes(5))), der(0xA3, ticket), der(0xA4, sealed(100))),
    )
    oid = lambda text: der(0x06, bytes.fromhex(text))
    mechanism = der(0x60, oid("2a864886f712010202"), b"\x01\x00", used)
    spnego = der(0x60, oid("2b0601050502"), der(0xA0, der(0x30, der(0xA0, der(0x30, oid("2a864886f712010202"))), der(0xA2, der(0x04, mechanism)))))
    framed = lambda message: struct.pack(">L", len(message)) + message
    return piece(4, asked) + piece(4, given) + piece(4, framed(used)) + piece(0, spnego) + piece(0, used)


def flow(path):
    out = b""
    for link, packet, less in packets(path)[:60]:
        kept = packet[: 40 + CONTENT_MAX]
        cut = min(less + len(packet) - len(kept), 255)
        out += bytes([LINKS.index(link)]) + struct.pack("<HB", len(kept), cut) + kept
    # And segments of one connection: set-up, data, a repeat, one from beyond a hole, its acknowledgement, the hole filled, both ends.
    base = 1001
    for side, flags, sequence, acknowledgement, length in [
        (0, 2, base - 1, 0, 0),
        (1, 18, 0, base, 0),
        (0, 16, base, 1, 100),
        (0, 16, base, 1, 90),
        (0, 16, base + 200, 1, 50),
        (1, 16, 1, base + 250, 30),
        (0, 16, base + 100, 31, 100),
        (1, 17, 31, base + 250, 0),
        (0, 17, base + 250, 32, 0),
    ]:
        out += bytes([0x28 | side, flags]) + struct.pack("<HHB", sequence, acknowledgement, length)
    return out


def seeds(folder):
    """Each target with its seeds."""
    read = {name: messages(os.path.join(folder, name + ".pcap")) for name in sorted(set(STREAMS + CALLS))}
    yield "smb_stream", [bytes([i % 2 * 7]) + smb_stream(read[name]) for i, name in enumerate(STREAMS)]
    yield "compression", sorted({b"\0" + m[4:] for name in STREAMS for _, _, _, m in read[name] if m[:4] == b"\xfcSMB"})
    shaped = {}
    for name in STREAMS:
        found = tokens(read[name])
        shaped.setdefault(tuple((s, t[:2], len(t).bit_length()) for s, t in found), found)
    yield "ntlm", [b"".join(piece(s | s << 1, t) for s, t in found) for found in shaped.values() if found] + [kerberos()]
    yield "rpc", [b"\0" + b"".join(piece(s, p) for s, p in pdus(read[name])) for name in CALLS]
    arguments = {}
    for name in CALLS:
        for interface, ndr64, operation, asked, answered in calls(pdus(read[name])):
            seed = bytes([interface | 0x40 | ndr64 << 7, operation & 255]) + struct.pack("<H", len(asked)) + asked + answered
            arguments.setdefault(seed[:2], seed)
    yield "task_arguments", list(arguments.values())
    yield "flow", [b"\0" + flow(os.path.join(folder, name + ".pcap")) for name in PACKETS]
