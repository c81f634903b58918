#!/usr/bin/python3
"""`smb-compressed-encrypted.pcap` and `smb311-kerberos.pcap`: the session of `smb-compressed-chained.pcap` once more, encrypted
afterwards. smbd does not compress, and here is no domain controller, so the messages behind the session's set-up are put into the
transform headers of [MS-SMB2] 2.2.41, with keys of [MS-SMB2] 3.1.4.2 that are reckoned here.

In the second the set-up is another: a Kerberos ticket for the server's key (`smb311-kerberos.keytab`, of a realm that is nowhere), an
authenticator with the client's subkey, and an answer with the server's. The server's is the session's key ([MS-KILE] 3.1.1.2 and RFC
4121). AES and the KDF: pycryptodome and hmac. Kerberos: impacket's crypto and ASN.1."""

import hashlib
import hmac
import json
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from Cryptodome.Cipher import AES
from impacket.krb5 import asn1, constants
from impacket.krb5.crypto import Key, encrypt, string_to_key
from impacket.spnego import SPNEGO_NegTokenInit, SPNEGO_NegTokenResp, TypesMech
from pyasn1.codec.der import encoder

from lab import HERE, expect, main, read_pcap, write_pcap
from packets import SECOND, Talk, ether

REALM, SERVICE, USER = "CORP.EXAMPLE", ("cifs", "fs01.corp.example"), "appadmin"
AES256 = 18
MORE = struct.pack("<I", 0xC0000016)
CCM, GCM = 1, 2


def fixed(name, size):
    """Bytes that are the same each time."""
    return hashlib.sha512(f"taploop {name}".encode()).digest()[:size]


def messages(packets):
    """The SMB messages of a session in the order in which they ended: (time, way, message). Nothing was lost on this cable."""
    buffers, out = [b"", b""], []
    for t, frame, _ in packets:
        packet = frame[14:]
        packet = packet[: struct.unpack_from("!H", packet, 2)[0]]
        way = 0 if packet[12:16] == bytes((10, 1, 2, 3)) else 1
        buffers[way] += packet[20 + (packet[32] >> 4) * 4 :]
        while len(buffers[way]) >= 4 and len(buffers[way]) >= 4 + int.from_bytes(buffers[way][1:4], "big"):
            end = 4 + int.from_bytes(buffers[way][1:4], "big")
            out.append((t, way, buffers[way][4:end]))
            buffers[way] = buffers[way][end:]
    return out


def cipher_of(answer):
    """The cipher that a NEGOTIATE answer of 3.1.1 chose (2.2.4.1.2)."""
    (count,), (at,) = struct.unpack_from("<H", answer, 70), struct.unpack_from("<I", answer, 124)
    for _ in range(count):
        kind, size = struct.unpack_from("<HH", answer, at)
        if kind == 2:
            return struct.unpack_from("<H", answer, at + 10)[0]
        at += 8 + size + -size % 8
    raise SystemExit("no cipher was chosen")


def direction_keys(key, hashed):
    kdf = lambda label: hmac.digest(key, struct.pack("!I", 1) + label + b"\0\0" + hashed + struct.pack("!I", 128), "sha256")[:16]
    return [kdf(b"SMBC2SCipherKey"), kdf(b"SMBS2CCipherKey")]


def sealed(message, session, key, cipher, number):
    size = 11 if cipher == CCM else 12
    nonce = struct.pack("<Q", number) + bytes(size - 8)
    rest = nonce + bytes(16 - size) + struct.pack("<IHHQ", len(message), 0, 1, session)
    more = {"mac_len": 16} if cipher == GCM else {"mac_len": 16, "msg_len": len(message), "assoc_len": len(rest)}
    aead = AES.new(key, AES.MODE_GCM if cipher == GCM else AES.MODE_CCM, nonce=nonce, **more)
    aead.update(rest)
    body, tag = aead.encrypt_and_digest(message)
    return b"\xfdSMB" + tag + rest + body


def is_set_up(message):
    return message[:4] == b"\xfeSMB" and message[12:14] == b"\x01\0"


def capture(folder, name, stream, key, port):
    """The session with all behind its set-up encrypted with a session key; its id is given back."""
    talk, out, hashed, keys, number = Talk("10.1.2.3", "10.1.2.10", port, 445, seed=port), [], bytes(64), None, 0

    def put(t, frames):
        for i, packet in enumerate(frames):
            out.append((t + i * 10_000, ether(packet), len(packet) + 14))

    add = lambda message: hashlib.sha512(hashed + message).digest()
    put(stream[0][0] - SECOND // 1000, talk.open())
    for t, way, message in stream:
        command = message[12:14] if message[:4] == b"\xfeSMB" else None
        if keys is not None:
            number += 1
            message = sealed(message, session, keys[way], cipher, number)
        elif command == b"\0\0" and (way == 0 or message[68:70] == b"\x11\x03"):
            hashed = add(message)
            cipher = cipher_of(message) if way else None
        elif is_set_up(message) and (way == 0 or message[8:12] == MORE):
            hashed = add(message)
        elif is_set_up(message):
            (session,) = struct.unpack_from("<Q", message, 40)
            keys = direction_keys(key[:16], hashed)
        t = max(t, out[-1][0] + 10_000)
        put(t, talk.send(way, struct.pack("!I", len(message)) + message))
    put(out[-1][0] + SECOND // 1000, talk.close())
    write_pcap(f"{folder}/{name}.pcap", out)
    return session


def named(target, kind, *parts):
    target["name-type"] = kind
    for i, part in enumerate(parts):
        target["name-string"][i] = part


def encrypted(target, key, usage, plain):
    target["etype"] = AES256
    target["cipher"] = encrypt(Key(AES256, key), usage, encoder.encode(plain), fixed(f"confounder {usage}", 16))


def encryption_key(target, key):
    target["keytype"] = AES256
    target["keyvalue"] = key


def inner(token_id, message):
    """RFC 4121 4.1: the mechanism and what kind of message it is, before the message."""
    body = bytes.fromhex("06092a864886f712010202") + token_id + message
    size = len(body)
    return b"\x60" + (bytes((0x82,)) + struct.pack("!H", size) if size > 127 else bytes((size,))) + body


def kerberos(service_key, ticket_key, subkey, acceptors):
    """The tokens of client and server."""
    part = asn1.EncTicketPart()
    part["flags"] = constants.encodeFlags([constants.TicketFlags.forwardable.value])
    encryption_key(part["key"], ticket_key)
    part["crealm"] = REALM
    named(part["cname"], 1, USER)
    part["transited"]["tr-type"] = 0
    part["transited"]["contents"] = b""
    part["authtime"] = "20180621060000Z"
    part["endtime"] = "20180621200000Z"
    request = asn1.AP_REQ()
    request["pvno"], request["msg-type"] = 5, 14
    request["ap-options"] = constants.encodeFlags([constants.APOptions.mutual_required.value])
    ticket = request["ticket"]
    ticket["tkt-vno"], ticket["realm"] = 5, REALM
    named(ticket["sname"], 2, *SERVICE)
    encrypted(ticket["enc-part"], service_key, 2, part)
    ticket["enc-part"]["kvno"] = 3
    authenticator = asn1.Authenticator()
    authenticator["authenticator-vno"], authenticator["crealm"] = 5, REALM
    named(authenticator["cname"], 1, USER)
    authenticator["cusec"], authenticator["ctime"] = 1234, "20180621083000Z"
    encryption_key(authenticator["subkey"], subkey)
    encrypted(request["authenticator"], ticket_key, 11, authenticator)
    answer = asn1.AP_REP()
    answer["pvno"], answer["msg-type"] = 5, 15
    answer_part = asn1.EncAPRepPart()
    answer_part["cusec"], answer_part["ctime"] = 1234, "20180621083000Z"
    encryption_key(answer_part["subkey"], acceptors)
    encrypted(answer["enc-part"], ticket_key, 12, answer_part)
    ask, give = SPNEGO_NegTokenInit(), SPNEGO_NegTokenResp()
    ask["MechTypes"] = [TypesMech["MS KRB5 - Microsoft Kerberos 5"], TypesMech["KRB5 - Kerberos 5"]]
    ask["MechToken"] = inner(b"\x01\0", encoder.encode(request))
    give["NegState"] = b"\0"
    give["SupportedMech"] = TypesMech["MS KRB5 - Microsoft Kerberos 5"]
    give["ResponseToken"] = inner(b"\x02\0", encoder.encode(answer))
    return ask.getData(), give.getData()


def keytab(key):
    """The file as MIT's library writes it, version 2."""
    counted = lambda data: struct.pack("!H", len(data)) + data
    entry = struct.pack("!H", len(SERVICE)) + counted(REALM.encode()) + b"".join(counted(p.encode()) for p in SERVICE)
    entry += struct.pack("!IIBH", 1, 1529539200, 3, AES256) + counted(key) + struct.pack("!I", 3)
    return b"\x05\x02" + struct.pack("!i", len(entry)) + entry


def with_token(message, token):
    """A SESSION_SETUP with another token, as the only one: its first answer says success."""
    request = message[16] & 1 == 0
    at, size = (76, 78) if request else (68, 70)
    begin = struct.unpack_from("<H", message, at)[0]
    out = bytearray(message[:begin] + token)
    struct.pack_into("<H", out, size, len(token))
    return bytes(out)


def make(folder):
    stream = messages(read_pcap(f"{HERE}/smb-compressed-chained.pcap"))
    with open(f"{HERE}/smb-compressed-chained.expected.json") as file:
        facts = json.load(file)

    key = fixed("compressed and encrypted", 16)
    session = capture(folder, "smb-compressed-encrypted", stream, key, 49741)
    with open(f"{folder}/smb-compressed-encrypted.keys", "w") as out:
        out.write(f'{struct.pack("<Q", session).hex()},{key.hex()},"",""\n')
    expect(folder, "smb-compressed-encrypted", **facts, encrypted=True)

    service_key = string_to_key(AES256, "the server's own", REALM + "".join(SERVICE)).contents
    acceptors = fixed("acceptor", 32)
    ask, give = kerberos(service_key, fixed("ticket", 32), fixed("client", 32), acceptors)
    set_ups = [i for i, (_, _, message) in enumerate(stream) if is_set_up(message)]
    assert len(set_ups) == 4
    first, last = set_ups[0], set_ups[3]
    short = [m for i, m in enumerate(stream) if i not in set_ups[1:3]]
    short[first] = (*stream[first][:2], with_token(stream[first][2], ask))
    # The answer has the number of the only request that is left.
    answer = bytearray(with_token(stream[last][2], give))
    answer[24:32] = stream[first][2][24:32]
    short[first + 1] = (*stream[last][:2], bytes(answer))
    session = capture(folder, "smb311-kerberos", short, acceptors, 49742)
    with open(f"{folder}/smb311-kerberos.keytab", "wb") as out:
        out.write(keytab(service_key))
    facts["accounts"] = [{"domain": REALM, "user": USER, "how": "kerberos"}]
    session_key = f'{struct.pack("<Q", session).hex()},{acceptors[:16].hex()},"",""'
    expect(folder, "smb311-kerberos", **facts, encrypted=True, session_key=session_key)


if __name__ == "__main__":
    main(__file__, make, {})
