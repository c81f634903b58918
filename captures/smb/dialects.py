#!/usr/bin/python3
"""A real smbd and a real smbclient in every dialect: the same files written and read. What differs is in the name of the
capture: SMB1 with and without extended security, over port 139, SMB 2.0.2 and 2.1, 3.0.2 signed, 3.0 and 3.1.1 encrypted
(the keys beside it), over IPv6, with a snap length. Made up: nothing but the times."""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ALERT, SECOND, Lab, expect, main, moved, transfer, write_pcap
from packets import Rng, text

USER, PASSWORD = "appadmin", "Summer-2018"
FOUR, SIX = {"ws": "10.1.2.3", "fs": "10.1.2.10"}, {"ws": "2001:db8:10:2::3", "fs": "2001:db8:10:2::10"}
#: What is written to the share, and what is read from it.
WRITTEN = {"report.txt": text(6001, 3), "one.bin": b"\x01", "nothing.bin": b""}
READ = {"minutes.txt": text(7000, 5), "key.bin": Rng(9).bytes(1461)}
COMMANDS = "mkdir in; cd in; " + "".join(f"put {n}; " for n in WRITTEN) + "rename report.txt r\u00e9sum\u00e9.txt; cd ..; " + "".join(f"get out\\{n} {n}; " for n in READ) + "del in\\one.bin; ls"


def session(dialect, hosts=FOUR, server=(), client=(), port="445", snap=262144, words=(), written=WRITTEN, read=READ, commands=COMMANDS, got="", mtu=1500):
    """Packets of one session, and smbd's log. `got` is what the names of files begin with where they were read to."""
    with Lab(hosts, ALERT - 2 * SECOND, mtu) as lab:
        share, own = os.path.join(lab.folder, "reports"), os.path.join(lab.folder, "own")
        os.makedirs(f"{share}/out")
        os.makedirs(own)
        for folder, files in ((f"{share}/out", read), (own, written)):
            for name, data in files.items():
                with open(f"{folder}/{name}", "wb") as file:
                    file.write(data)
                os.utime(file.name, (ALERT // SECOND - 3600, ALERT // SECOND - 3600))
        home = lab.smbd("fs", {"reports": share}, {USER: PASSWORD}, ["server min protocol = NT1", "debug encryption = yes", *server], ports=port)
        with open(f"{lab.folder}/client.conf", "w") as out:
            lines = ["[global]", "netbios name = WS-0117", "workgroup = CORP", "client min protocol = NT1", f"lock directory = {own}", f"private dir = {own}",
                     f"state directory = {own}", f"cache directory = {own}", "client use spnego principal = no", *client]  # fmt: skip
            out.write("\n".join(lines) + "\n")
        with lab.capture(f"port {port}", snap) as seen:
            line = ["smbclient", "-s", f"{lab.folder}/client.conf", "//FS01/reports", "-I", hosts["fs"], "-p", port, "-U", f"CORP/{USER}%{PASSWORD}", "-m", dialect, *words, "-c", commands]
            lab.run("ws", line, cwd=own)
        for name, data in read.items():
            assert open(f"{own}/{got}{name}", "rb").read() == data, name
        return moved(seen.packets, ALERT), open(f"{home}/log", errors="replace").read()


def keys(log):
    """Lines of Wireshark's smb2_seskey_list from what `debug encryption` logs."""
    out = []
    for part in log.split("dumping generated session keys")[1:]:
        found = []
        for name, size in (("Session Id", 8), ("Session Key", 16)):
            row = part.split(name, 1)[1].split("[0000]", 1)[1]
            found.append("".join(re.findall(r"[0-9A-F]{2}", row[: 3 * size + 3])[:size]).lower())
        out.append(f'{found[0]},{found[1]},"",""\n')
    return out


CASES = {
    "smb1-nt1": dict(dialect="NT1"),
    "smb1-plain": dict(dialect="NT1", client=["client use spnego = no", "client ntlmv2 auth = no"], server=["ntlm auth = yes"]),
    "smb-port139": dict(dialect="NT1", port="139"),
    "smb2-port139": dict(dialect="SMB2_10", port="139"),
    "smb2-02": dict(dialect="SMB2_02"),
    "smb2-10": dict(dialect="SMB2_10"),
    "smb3-signed": dict(dialect="SMB3_02", client=["client signing = required"], words=["--client-protection=sign"]),
    "smb-over-ipv6": dict(dialect="SMB3_11", hosts=SIX),
    "smb-snaplen": dict(dialect="SMB2_10", snap=256),
    "smb3-encrypted": dict(dialect="SMB3_00", words=["--client-protection=encrypt"]),
    "smb311-encrypted": dict(dialect="SMB3_11", words=["--client-protection=encrypt"]),
    "smb311-aes256": dict(dialect="SMB3_11", words=["--client-protection=encrypt"], server=["server smb3 encryption algorithms = AES-256-GCM"]),
    "smb311-aes256-ccm": dict(dialect="SMB3_11", words=["--client-protection=encrypt"], server=["server smb3 encryption algorithms = AES-256-CCM"]),
}  # fmt: skip


def facts(name, hosts=FOUR):
    written = [transfer("write", "reports", f"in\\{n}", d) for n, d in WRITTEN.items()]
    written[0]["renamed_later"] = "in\\r\u00e9sum\u00e9.txt"
    written[1]["deleted_later"] = True
    out = {"client": hosts["ws"], "server": hosts["fs"], "accounts": [{"domain": "CORP", "user": USER, "workstation": "WS-0117", "how": "ntlm"}]}
    return out | {"shares": ["\\\\FS01\\reports"], "objects": written + [transfer("read", "reports", f"out\\{n}", d) for n, d in READ.items()]}


def seen(packets, data, way):
    """The ranges of a file's bytes that are left in packets that were cut: from the first that holds its beginning on."""
    base, ranges = None, []
    for _, frame, _ in packets:
        if frame[12:14] != b"\x08\0" or (frame[26:30] == bytes((10, 1, 2, 3))) != (way == 0):
            continue
        (seq,), start = struct.unpack_from("!I", frame, 38), 34 + (frame[46] >> 4) * 4
        kept = frame[start:]
        if base is None and data and data[:40] in kept[80:]:
            base = seq + kept.index(data[:40], 80)
        if base is not None:
            lo, hi = max(seq - base, 0), min(seq - base + len(kept), len(data))
            if lo < hi:
                ranges = [*ranges[:-1], [ranges[-1][0], hi]] if ranges and ranges[-1][1] == lo else [*ranges, [lo, hi]]
    return ranges


def make(folder):
    for name, case in CASES.items():
        packets, log = session(**case)
        write_pcap(f"{folder}/{name}.pcap", packets, case.get("snap", 262144))
        said = facts(name, case.get("hosts", FOUR))
        if "--client-protection=encrypt" in case.get("words", ()):
            with open(f"{folder}/{name}.keys", "w") as out:
                out.writelines(keys(log))
            said |= {"encrypted": True, "keys": f"{name}.keys", "password": f"password:CORP\\{USER}:{PASSWORD}"}
        if "snap" in case:
            said["cut_to"] = case["snap"]
            for one, data in zip(said["objects"], [*WRITTEN.values(), *READ.values()]):
                one["seen"] = seen(packets, data, 1 if one["action"] == "read" else 0)
                if one["seen"] != [[0, len(data)]] and data:
                    one["complete"] = False
                    del one["sha256"]
        expect(folder, name, **said)


if __name__ == "__main__":
    main(__file__, make, {})
