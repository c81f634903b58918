#!/usr/bin/python3
"""Two accounts on one connection, their messages in turn: each writes a file of its own and reads the other's.

Real: smbd. The client is impacket's, two sessions over one socket, as a terminal server or a service has them."""

import copy
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ALERT, SECOND, Lab, expect, main, moved, transfer, write_pcap
from packets import text

ACCOUNTS = {"appadmin": "Summer-2018", "jsmith": "Winter-2017"}
FILES = {"appadmin": ("appadmin.txt", text(6_000, 51)), "jsmith": ("jsmith.txt", text(5_000, 52))}
PIECE = 1_500


def client(server):
    from impacket import smb3
    from impacket.smb3structs import FILE_OPEN, FILE_OVERWRITE_IF, FILE_SHARE_READ, FILE_SHARE_WRITE, SMB2_DIALECT_21

    first = smb3.SMB3(server, server, my_name="WS-0117", preferredDialect=SMB2_DIALECT_21)
    blank, sessions = copy.deepcopy(first._Session), {}
    for user, password in ACCOUNTS.items():
        # The same connection with its message ids, a session of its own.
        sessions[user] = copy.copy(first)
        sessions[user]._Session = copy.deepcopy(blank)
        sessions[user].login(user, password, "CORP")
    trees = {user: smb.connectTree("reports") for user, smb in sessions.items()}
    sharing = FILE_SHARE_READ | FILE_SHARE_WRITE
    opens = {u: smb.create(trees[u], FILES[u][0], 0x12019F, sharing, 0x40, FILE_OVERWRITE_IF, 0) for u, smb in sessions.items()}
    for at in range(0, 6_000, PIECE):
        for user, smb in sessions.items():
            part = FILES[user][1][at : at + PIECE]
            if part:
                smb.write(trees[user], opens[user], part, at, len(part))
    for user, smb in sessions.items():
        smb.close(trees[user], opens[user])
    other = {"appadmin": "jsmith", "jsmith": "appadmin"}
    opens = {u: smb.create(trees[u], FILES[other[u]][0], 0x120089, sharing, 0x40, FILE_OPEN, 0) for u, smb in sessions.items()}
    got = dict.fromkeys(sessions, b"")
    for at in range(0, 6_000, PIECE):
        for user, smb in sessions.items():
            if at < len(FILES[other[user]][1]):
                got[user] += smb.read(trees[user], opens[user], at, PIECE)
    for user, smb in sessions.items():
        assert got[user] == FILES[other[user]][1]
        smb.close(trees[user], opens[user])
        smb.logoff()


def make(folder):
    with Lab({"ws": "10.1.2.3", "fs": "10.1.2.10"}, ALERT - 2 * SECOND) as lab:
        share = os.path.join(lab.folder, "reports")
        os.makedirs(share)
        lab.smbd("fs", {"reports": share}, ACCOUNTS)
        with lab.capture("port 445") as seen:
            lab.call("ws", os.path.abspath(__file__), "client", "10.1.2.10")
        write_pcap(f"{folder}/two-users.pcap", moved(seen.packets, ALERT))
    objects = []
    for user, other in (("appadmin", "jsmith"), ("jsmith", "appadmin")):
        objects += [transfer("write", "reports", *FILES[user], account=user), transfer("read", "reports", *FILES[other], account=user)]
    who = [{"domain": "CORP", "user": user, "workstation": "WS-0117", "how": "ntlm"} for user in ACCOUNTS]
    expect(folder, "two-users", client="10.1.2.3", server="10.1.2.10", shares=["\\\\10.1.2.10\\reports"], accounts=who, objects=objects)


if __name__ == "__main__":
    main(__file__, make, {"client": client})
