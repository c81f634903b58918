#!/usr/bin/python3
"""`over-4mib.pcap.gz`: a file of more than 4 MiB written to a real smbd and read back, in frames of 9000 bytes.

No byte range of the file is like another, and yet it packs well: each KiB begins with its number."""

import gzip
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dialects import facts, session
from lab import expect, main, transfer, write_pcap
from packets import text

SIZE = 4 * 1024 * 1024 + 54_321
LINES = text(1014, 4)
DATA = b"".join(b"%09d " % n + LINES for n in range(SIZE // 1024 + 1))[:SIZE]


def make(folder):
    packets, _ = session("SMB2_10", written={"big.txt": DATA}, read={"big.txt": DATA}, commands="put big.txt w-big.txt; get out\\big.txt r-big.txt", got="r-", mtu=9000)
    plain = f"{folder}/over-4mib.pcap"
    write_pcap(plain, packets)
    with open(plain, "rb") as file, open(plain + ".gz", "wb") as out:
        # Without name and time: the same packets give the same file.
        with gzip.GzipFile("", "wb", 9, out, 0) as packed:
            packed.write(file.read())
    os.remove(plain)
    said = facts("over-4mib")
    expect(folder, "over-4mib", **{**said, "objects": [transfer("write", "reports", "w-big.txt", DATA), transfer("read", "reports", "out\\big.txt", DATA)]})


if __name__ == "__main__":
    main(__file__, make, {})
