#!/usr/bin/env python3
"""Seeds for fuzzing, out of the same scripts that make the captures, and out of the captures in smb/: seeds.py FOLDER."""

import glob
import hashlib
import os
import runpy
import struct
import sys

import smb_seeds

SELECTIONS = """--ip 10.1.2.3 --around 2018-06-21T10:42:00Z --window 5m
--ip 10.1.2.0/24 --peer 2001:db8::/32 --port 445 --proto tcp
--interface eth0 --interface eth1 --vlan 100
--community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=
--from 1529577720.000000001 --to 2018-06-21T12:42:00+02:00
--from -5m --to now --limit-packets 10 --limit-bytes 512MiB
--filter 'tcp port 445 and (host 10.1.2.3 or net 10.1.3.0/24)'
--proto 132 --ip ::ffff:10.1.2.3 --window 1h
everything
interface "eth0" from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z where layer(pair 10.1.2.3 10.0.0.0/8 and port 445) and vlan 7 limit-packets 100
interface "a \\"b\\"" where not (vlan 1 or layer(ip 2001:db8::/32 or not proto 6)) and filter "tcp[13] & 2 != 0" limit-bytes 4096
where layer(community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=)
tcp port 445 and (host 10.1.2.3 or net 10.1.3.0/24)
vlan 7 and ip6 and not udp portrange 1-1024
ether[12:2] = 0x800 and ip[6:2] & 0x1fff != 0
""".splitlines()


def golden(name):
    """The bytes of one of the small ring's files (src/ring/golden)."""
    out = bytearray()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/ring/golden", name)) as text:
        for line in text:
            if not line.startswith(";"):
                numbers = line.split("  ")[1].strip()
                out += bytes(int(numbers[5:])) if numbers.startswith("00 * ") else bytes.fromhex(numbers)
    return bytes(out)


def index_seeds():
    """Each file of the small ring, as the target "index" takes them: which, how, and the bytes without a header page's zeros."""
    log, catalog = golden("growing.log.txt"), golden("catalog.txt")
    files = [
        golden("segment.pcapng.txt"),
        golden("segment.idx.txt"),
        log[:52] + log[2048:2088] + log[4096:],
        catalog[:12] + catalog[2048:2072] + catalog[4096:],
    ]
    return [bytes([which | how]) + data for which, data in enumerate(files) for how in (0, 4, 12)]


def keep(folder, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, hashlib.sha256(data).hexdigest()[:16]), "wb") as out:
        out.write(data)


def main():
    out, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    for script in sorted(glob.glob(os.path.join(here, "*.py"))):
        name = os.path.basename(script)
        if name in ("packets.py", "seeds.py", "smb_seeds.py"):
            continue
        capture = runpy.run_path(script)["capture"]()
        kinds = set()
        for link, packet in capture.packets:
            # One packet of each shape is enough: link type, length class and the first bytes of the headers tell shapes apart.
            shape = (link, packet[12:24], packet[34:36] if name.startswith("tags") else b"", len(packet).bit_length())
            if name in ("office.py", "out-of-order.py"):
                shape = (link, packet[12:15], packet[23:24], len(packet) > 200)
            if shape not in kinds:
                kinds.add(shape)
                keep(os.path.join(out, "decode"), struct.pack("<H", link) + packet[:300])
        if len(capture.data) < 64 * 1024:
            keep(os.path.join(out, "capture_file"), capture.data)
        else:
            keep(os.path.join(out, "capture_file"), capture.data[:4096])
    for data in index_seeds():
        keep(os.path.join(out, "index"), data)
    for line in SELECTIONS:
        keep(os.path.join(out, "selection"), line.encode())
    for target, seeds in smb_seeds.seeds(os.path.join(here, "smb")):
        for data in seeds:
            keep(os.path.join(out, target), data)


main()
