"""The server's half of NTLM inside DCE/RPC ([MS-RPCE] 2.2.2.11, [MS-NLMP] 3.4): the challenge, and calls opened and sealed."""

import hashlib
import hmac
import os
import struct

from Cryptodome.Cipher import ARC4
from impacket import ntlm


def trailer(pad, context):
    """A sec_trailer for NTLM at the level of privacy."""
    return struct.pack("<BBBBI", 10, 6, pad, 0, context)


class Seal:
    def __init__(self, password):
        self.password, self.challenge, self.ends = password, os.urandom(8), None

    def challenge_message(self, negotiate):
        # Without the flag for OEM strings: Unicode was offered too.
        flags = struct.unpack_from("<I", negotiate, 12)[0] & ~2
        flags |= ntlm.NTLMSSP_REQUEST_TARGET | ntlm.NTLMSSP_TARGET_TYPE_SERVER | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO
        pairs = b""
        for number, value in ((2, "CORP"), (1, "FS01")):
            data = value.encode("utf-16-le")
            pairs += struct.pack("<HH", number, len(data)) + data
        pairs += bytes(4)
        target = "CORP".encode("utf-16-le")
        head = b"NTLMSSP\0" + struct.pack("<IHHII", 2, len(target), len(target), 56, flags) + self.challenge + bytes(8)
        return head + struct.pack("<HHI", len(pairs), len(pairs), 56 + len(target)) + bytes.fromhex("0601b11d0000000f") + target + pairs

    def authenticate(self, message):
        """Takes the client's AUTHENTICATE (NTLMv2 with key exchange) and makes the keys of both directions."""
        field = lambda at: message[struct.unpack_from("<I", message, at + 4)[0] :][: struct.unpack_from("<H", message, at)[0]]
        response, domain, user, sent_key = field(20), field(28), field(36), field(52)
        flags = struct.unpack_from("<I", message, 60)[0]
        identity = (user.decode("utf-16-le").upper() + domain.decode("utf-16-le")).encode("utf-16-le")
        key = hmac.digest(ntlm.compute_nthash(self.password), identity, "md5")
        proof = hmac.digest(key, self.challenge + response[16:], "md5")
        if proof != response[:16]:
            raise ValueError("the password is another")
        key = hmac.digest(key, proof, "md5")
        if flags & ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH:
            key = ARC4.new(key).decrypt(sent_key)
        short = key if flags & ntlm.NTLMSSP_NEGOTIATE_128 else key[:7]
        self.ends = []
        for way in ("client-to-server", "server-to-client"):
            magic = f"session key to {way} %s key magic constant\0"
            sign = hashlib.md5(key + (magic % "signing").encode()).digest()
            seal = hashlib.md5(short + (magic % "sealing").encode()).digest()
            self.ends.append({"sign": sign, "rc4": ARC4.new(seal), "number": 0})

    def mac(self, end, message):
        check = hmac.digest(end["sign"], struct.pack("<I", end["number"]) + message, "md5")[:8]
        out = struct.pack("<I", 1) + end["rc4"].encrypt(check) + struct.pack("<I", end["number"])
        end["number"] += 1
        return out

    def open(self, data):
        """The stub of a sealed request."""
        end = self.ends[0]
        at = len(data) - 16 - 8
        stub = end["rc4"].decrypt(data[24:at])
        if self.mac(end, data[:24] + stub + data[at : at + 8]) != data[-16:]:
            raise ValueError("the signature is wrong")
        pad = data[at + 2]
        return stub[: len(stub) - pad]

    def close(self, call, context, stub, auth_context):
        """A sealed response."""
        end = self.ends[1]
        # Windows pads to 16; tshark 4.0 finds a sealed stub of four bytes malformed.
        pad = -len(stub) % 16
        body = stub + b"\0" * pad
        tail = trailer(pad, auth_context)
        head = struct.pack("<BBBBIHHIIHBB", 5, 0, 2, 3, 0x10, 24 + len(body) + 8 + 16, 16, call, len(stub), context, 0, 0)
        sealed = end["rc4"].encrypt(body)
        return head + sealed + tail + self.mac(end, head + body + tail)
