#!/usr/bin/env python3
"""Seeds for fuzzing, out of the same scripts that make the captures: seeds.py FOLDER."""

import glob
import hashlib
import os
import runpy
import struct
import sys

SELECTIONS = """--ip 10.1.2.3 --around 2018-06-21T10:42:00Z --window 5m
--ip 10.1.2.0/24 --peer 2001:db8::/32 --port 445 --proto tcp
--interface eth0 --interface eth1 --vlan 100
--community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=
--from 1529577720.000000001 --to 2018-06-21T12:42:00+02:00
--from -5m --to now --limit-packets 10 --limit-bytes 512MiB
--filter 'tcp port 445 and (host 10.1.2.3 or net 10.1.3.0/24)'
--proto 132 --ip ::ffff:10.1.2.3 --window 1h
""".splitlines()


def keep(folder, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, hashlib.sha256(data).hexdigest()[:16]), "wb") as out:
        out.write(data)


def main():
    out, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    for script in sorted(glob.glob(os.path.join(here, "*.py"))):
        name = os.path.basename(script)
        if name in ("packets.py", "seeds.py"):
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
    for line in SELECTIONS:
        keep(os.path.join(out, "selection"), line.encode())


main()
