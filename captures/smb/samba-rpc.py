#!/usr/bin/python3
"""rpcclient asks Samba's own RPC services: over SMB2 (`rpc-smb2.pcap`, FSCTL_PIPE_TRANSCEIVE), over SMB1 (`rpc-smb1.pcap`,
TRANS), and sealed with NTLM (`rpc-sealed.pcap`). Real on both sides."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ALERT, SECOND, Lab, expect, main, moved, write_pcap

USER, PASSWORD = "appadmin", "Summer-2018"
SRVSVC, SAMR = "4b324fc8-1670-01d3-1278-5a47bf6ee188", "12345778-1234-abcd-ef00-0123456789ac"
QUESTIONS = {"srvsvc": "srvinfo; netshareenumall; ", "samr": "enumdomusers; queryuser jsmith"}
#: Operation numbers of what rpcclient asks, and how often: NetrServerGetInfo, NetrShareEnum.
SERVER = {21: 1, 15: 1}
#: Close, LookupDomain, EnumDomains, OpenDomain, EnumDomainUsers, LookupNames, OpenUser, QueryUserInfo, Connect5.
ACCOUNTS = {1: 5, 5: 1, 6: 1, 7: 2, 13: 1, 17: 1, 34: 2, 36: 1, 64: 2}


def recorded(dialect, binding, commands):
    with Lab({"ws": "10.1.2.3", "fs": "10.1.2.10"}, ALERT - 2 * SECOND) as lab:
        share = os.path.join(lab.folder, "reports")
        os.makedirs(share)
        lab.smbd("fs", {"reports": share}, {USER: PASSWORD, "jsmith": "Winter-2017"}, ["server min protocol = NT1", "rpc start on demand helpers = yes"])
        folders = "\n".join(f"{kind} = {lab.folder}" for kind in ("lock directory", "state directory", "cache directory", "private dir"))
        with open(f"{lab.folder}/client.conf", "w") as out:
            out.write(f"[global]\nnetbios name = WS-0117\nworkgroup = CORP\nclient min protocol = NT1\nclient ipc min protocol = NT1\n{folders}\n")
            out.write(f"client max protocol = {dialect}\nclient ipc max protocol = {dialect}\n")
        words = ["rpcclient", "-s", f"{lab.folder}/client.conf", "-U", f"CORP/{USER}%{PASSWORD}", "-I", "10.1.2.10", binding, "-c"]
        # The services start with the first question; that one is not recorded.
        lab.run("ws", [*words, "srvinfo; enumdomusers"])
        with lab.capture("port 445") as seen:
            said = lab.run("ws", [*words, commands])
        assert "user:[jsmith]" in said, said
        return moved(seen.packets, ALERT)


def make(folder):
    for name, dialect, binding in (("rpc-smb2", "SMB2_10", "//FS01"), ("rpc-smb1", "NT1", "//FS01"), ("rpc-sealed", "SMB2_10", "ncacn_np:FS01[seal,ntlm]")):
        sealed = name == "rpc-sealed"
        write_pcap(f"{folder}/{name}.pcap", recorded(dialect, binding, "".join(QUESTIONS.values())))
        calls = [{"interface": uuid, "opnum": n, "count": count, "sealed": sealed} for uuid, all_of in ((SRVSVC, SERVER), (SAMR, ACCOUNTS)) for n, count in all_of.items()]
        facts = {"keys": f"{name}.keys"} if sealed else {}
        if sealed:
            with open(f"{folder}/{name}.keys", "w") as out:
                out.write(f"password:CORP\\{USER}:{PASSWORD}\n")
        expect(
            folder, name, client="10.1.2.3", server="10.1.2.10", shares=["\\\\FS01\\IPC$"], pipes=["srvsvc", "samr"], calls=calls, objects=[], **facts,
            accounts=[{"domain": "CORP", "user": USER, "workstation": "WS-0117", "how": "ntlm"}], samr_users=["appadmin", "jsmith"], samr_looked_up="jsmith",
        )  # fmt: skip


if __name__ == "__main__":
    main(__file__, make, {})
