#!/usr/bin/python3
"""`smb-compressed.pcap` and `smb-compressed-chained.pcap`: a real SMB 3.1.1 session with its file contents compressed afterwards.

smbd 4.17 and smbclient do not compress, so their messages are taken out of TCP, compressed by programs that have nothing to do
with this one (the list below), put behind the transform headers of [MS-SMB2] 2.2.42, and sent again over a TCP connection made
by packets.py. NEGOTIATE has the compression context added on both sides. Signatures and the preauth hash are those of the
original messages.

LZNT1: the Python package lznt1. LZ77: lzxpress_compress of Samba's libndr. LZ77+Huffman: XPRESS of libwim, which writes no
end symbol. LZ4: python3-lz4, a raw block. The files xca-* are the examples of [MS-XCA] 3.1 to 3.3, byte for byte.
"""

import ctypes
import glob
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lz4.block
import lznt1 as ntfs

from dialects import facts, session
from lab import expect, main, transfer, write_pcap
from packets import SECOND, Talk, ether, text

NONE, LZNT1, LZ77, HUFFMAN, PATTERN, LZ4 = range(6)
READ, WRITE = b"\x08\0", b"\x09\0"


def lz77(data):
    lib = ctypes.CDLL(glob.glob("/usr/lib/*/samba/libndr-samba-samba4.so.0")[0])
    lib.lzxpress_compress.restype = ctypes.c_ssize_t
    out = ctypes.create_string_buffer(len(data) + 1024)
    size = lib.lzxpress_compress(data, len(data), out, len(out))
    assert size > 0
    return out.raw[:size]


def huffman(data):
    lib = ctypes.CDLL("libwim.so.15")
    lib.wimlib_compress.restype = ctypes.c_size_t
    maker, out = ctypes.c_void_p(), ctypes.create_string_buffer(len(data))
    assert lib.wimlib_create_compressor(1, ctypes.c_size_t(65536), 50, ctypes.byref(maker)) == 0
    size = lib.wimlib_compress(data, ctypes.c_size_t(len(data)), out, ctypes.c_size_t(len(data) - 1), maker)
    assert size > 0
    return out.raw[:size]


def lz4_block(data):
    return lz4.block.compress(data, store_size=False)


def lengths(bits, tail):
    """A table of Huffman code lengths, four bits a symbol, and what follows it."""
    table = bytearray(256)
    for symbol, n in bits.items():
        table[symbol // 2] |= n << 4 * (symbol % 2)
    return bytes(table) + bytes.fromhex(tail)


LETTERS, ABC = bytes(range(97, 123)), b"abc" * 100
TUNE = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0"
XCA = {
    "xca-letters-lz77.txt": (LETTERS, LZ77, bytes.fromhex("3f000000") + LETTERS),
    "xca-abc-lz77.txt": (ABC, LZ77, bytes.fromhex("ffffff1f61626317000fff2601")),
    "xca-letters-huffman.txt": (LETTERS, HUFFMAN, lengths({**{s: 5 if s < 119 else 4 for s in range(97, 123)}, 256: 4}, "d8523ed794115be9195ff9d67cdf8d0400000000")),
    "xca-abc-huffman.txt": (ABC, HUFFMAN, lengths({97: 3, 98: 3, 99: 2, 256: 2, 287: 2}, "a8dc0000ff2601")),
    "xca-tune-lznt1.txt": (TUNE, LZNT1, bytes.fromhex("38b08846232000204720410010a24701a045204400084501507900c045200524138805b4024a44ef0358028c0916014845 00be009e000401189000".replace(" ", ""))),
}  # fmt: skip
#: File -> contents, algorithm, compressor. Names differ for each way, as contents must.
PLAIN = {
    "lznt1.txt": (text(6200, 11), LZNT1, ntfs.compress),
    "lz77.txt": (text(6300, 12), LZ77, lz77),
    "huffman.txt": (text(6400, 13), HUFFMAN, huffman),
}
ZEROS = b"\0" * 4000
CHAINED = {
    "lz4.txt": (text(5100, 21), LZ4, lz4_block),
    "huffman.txt": (text(5200, 22), HUFFMAN, huffman),
    "lz77.txt": (text(5300, 23), LZ77, lz77),
    "lznt1.txt": (text(5400, 24), LZNT1, ntfs.compress),
    "pattern.bin": (ZEROS + text(2500, 25) + b"\xff" * 1500, PATTERN, lz77),
}


def messages(packets):
    """The SMB messages of a session in the order in which they ended: (time, way, message). Nothing was lost on this cable."""
    buffers, out = [b"", b""], []
    for t, frame, _ in packets:
        packet = frame[14:]
        packet = packet[: struct.unpack_from("!H", packet, 2)[0]]
        data = packet[20 + (packet[32] >> 4) * 4 :]
        way = 0 if packet[12:16] == bytes((10, 1, 2, 3)) else 1
        buffers[way] += data
        while len(buffers[way]) >= 4 and len(buffers[way]) >= 4 + int.from_bytes(buffers[way][1:4], "big"):
            end = 4 + int.from_bytes(buffers[way][1:4], "big")
            out.append((t, way, buffers[way][4:end]))
            buffers[way] = buffers[way][end:]
    return out


def with_context(message, way, chained):
    """A NEGOTIATE message of dialect 3.1.1 with SMB2_COMPRESSION_CAPABILITIES behind its contexts."""
    count_at, offset_at = (64 + 32, 64 + 28) if way == 0 else (64 + 6, 64 + 60)
    if message[:4] != b"\xfeSMB" or message[12:14] != b"\0\0" or len(message) < 128:
        return message
    (count,), (offset,) = struct.unpack_from("<H", message, count_at), struct.unpack_from("<I", message, offset_at)
    if not count or not 128 <= offset < len(message):
        return message
    known = [LZ77, HUFFMAN, LZNT1] + ([PATTERN, LZ4] if chained else [])
    body = struct.pack("<HHI", len(known), 0, chained) + struct.pack(f"<{len(known)}H", *known)
    out = bytearray(message + b"\0" * (-len(message) % 8) + struct.pack("<HHI", 3, len(body), 0) + body)
    struct.pack_into("<H", out, count_at, count + 1)
    return bytes(out)


def unchained(message, at, data, algorithm, packed):
    """2.2.42.1: what is before the file's bytes stays as it is."""
    return struct.pack("<4sIHHI", b"\xfcSMB", len(data), algorithm, 0, at) + message[:at] + packed + message[at + len(data) :]


def payload(algorithm, data, original=None, first=False):
    size = b"" if original is None else struct.pack("<I", original)
    return struct.pack("<HHI", algorithm, 1 if first else 0, len(size) + len(data)) + size + data


def chain(message, at, data, algorithm, compressor):
    """2.2.42.2: the headers without compression, then the file's bytes, long runs as patterns."""
    out = struct.pack("<4sI", b"\xfcSMB", len(message)) + payload(NONE, message[:at], first=True)
    if algorithm != PATTERN:
        return out + payload(algorithm, compressor(data), len(data)) + (payload(NONE, message[at + len(data) :]) if message[at + len(data) :] else b"")
    middle = data[len(ZEROS) : -1500]
    out += payload(PATTERN, struct.pack("<BBHI", 0, 0, 0, len(ZEROS))) + payload(LZ77, compressor(middle), len(middle))
    return out + payload(PATTERN, struct.pack("<BBHI", 255, 0, 0, 1500))


def compressed(message, queue, chained):
    """The message as it goes out: compressed if the bytes of the file whose turn it is are in it."""
    command = message[12:14]
    if not queue.get(command):
        return message
    data, algorithm, how = queue[command][0]
    at = 80 if command == READ else 112
    if message[at:] != data:
        return message
    queue[command].pop(0)
    if chained:
        return chain(message, at, data, algorithm, how)
    if algorithm == LZ77 and callable(how):
        # The whole message in one piece is as good.
        return struct.pack("<4sIHHI", b"\xfcSMB", len(message), LZ77, 0, 0) + how(message)
    return unchained(message, at, data, algorithm, how(data) if callable(how) else how)


def capture(folder, name, files, chained):
    contents = {n: f[0] for n, f in files.items()}
    commands = "".join(f"put {n} w-{n}; get out\\{n} r-{n}; " for n in files)
    # `get` writes into the folder that `put` reads from, so the two have names of their own.
    packets, _ = session("SMB3_11", written=contents, read=contents, commands=commands, got="r-")
    talk, out = Talk("10.1.2.3", "10.1.2.10", 49731, 445, seed=len(files)), []

    def put(t, frames):
        for i, packet in enumerate(frames):
            out.append((t + i * 10_000, ether(packet), len(packet) + 14))

    stream = messages(packets)
    put(packets[0][0], talk.open())
    queue = {READ: list(files.values()), WRITE: list(files.values())}
    for t, way, message in stream:
        new = compressed(with_context(message, way, chained), queue, chained)
        t = max(t, out[-1][0] + 10_000)
        put(t, talk.send(way, struct.pack("!I", len(new)) + new))
    put(out[-1][0] + SECOND // 1000, talk.close())
    assert not queue[READ] and not queue[WRITE], "not every file was found"
    write_pcap(f"{folder}/{name}.pcap", out)
    said = facts(name)
    objects = [transfer(way, "reports", path, data, compressed=True) for n, data in contents.items() for way, path in (("write", f"w-{n}"), ("read", f"out\\{n}"))]
    expect(folder, name, **{**said, "objects": objects})


def make(folder):
    capture(folder, "smb-compressed", {**PLAIN, **XCA}, False)
    capture(folder, "smb-compressed-chained", CHAINED, True)


if __name__ == "__main__":
    main(__file__, make, {})
