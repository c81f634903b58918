#!/usr/bin/python3
"""One SMB 3.0 session over two connections with four addresses: half of a file written and half of a file read on each.

Real: smbd, which binds the second connection to the session. The client is impacket's, made to ask for that ([MS-SMB2]
3.2.4.1.7); smbclient cannot. Session set-up is signed, and so is all that follows."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ALERT, SECOND, Lab, expect, main, moved, transfer, write_pcap
from packets import Rng, text

USER, PASSWORD = "appadmin", "Summer-2018"
CLIENTS, SERVERS = ("10.1.2.3", "10.1.2.13"), ("10.1.2.10", "10.1.2.11")
WRITTEN, READ, HALF = text(12_000, 31), Rng(32).bytes(9_000), 4_500
MULTI_CHANNEL, BINDING, SIGNED = 8, 1, 8


def client():
    from impacket import smb3
    from impacket.smb3structs import FILE_OPEN, FILE_OVERWRITE_IF, FILE_SHARE_READ, SMB2_DIALECT_30, SMB2_NEGOTIATE, SMB2_SESSION_SETUP

    class Channel(smb3.SMB3):
        first = None

        def sendSMB(self, packet):
            if packet["Command"] == SMB2_NEGOTIATE:
                packet["Data"]["Capabilities"] = MULTI_CHANNEL
                packet["Data"]["ClientGuid"] = b"WS-0117 channels"
            if packet["Command"] == SMB2_SESSION_SETUP and self.first:
                # Bound to the first connection's session, and signed with that session's key.
                packet["Data"]["Flags"], packet["Flags"] = BINDING, SIGNED
                self._Session["SessionID"] = packet["SessionID"] = self.first._Session["SessionID"]
                packet["MessageID"], packet["CreditCharge"] = self._Connection["SequenceWindow"], 1
                self._Session["SigningKey"] = self.first._Session["SigningKey"]
                self._Session["SessionKey"] = self.first._Session["SessionKey"]
                self.signSMB(packet)
            return super().sendSMB(packet)

    def channel(server, first=None):
        one = Channel(server, server, my_name="WS-0117", preferredDialect=SMB2_DIALECT_30)
        one.first = first
        one._Connection["RequireSigning"] = True
        one.login(USER, PASSWORD, "CORP")
        return one

    one = channel(SERVERS[0])
    two = channel(SERVERS[1], one)
    assert one._Session["SessionID"] == two._Session["SessionID"]
    tree = one.connectTree("reports")
    # The tree and its files are the session's, whatever connection asks.
    two._Session["TreeConnectTable"], two._Session["OpenTable"] = one._Session["TreeConnectTable"], one._Session["OpenTable"]
    file = one.create(tree, "in\\two-ways.txt", 0x12019F, FILE_SHARE_READ, 0x40, FILE_OVERWRITE_IF, 0)
    one.write(tree, file, WRITTEN[:HALF], 0, HALF)
    two.write(tree, file, WRITTEN[HALF:], HALF, len(WRITTEN) - HALF)
    one.close(tree, file)
    file = two.create(tree, "out\\two-ways.bin", 0x120089, FILE_SHARE_READ, 0x40, FILE_OPEN, 0)
    got = two.read(tree, file, 0, HALF) + one.read(tree, file, HALF, len(READ) - HALF)
    assert got == READ
    two.close(tree, file)
    one.logoff()


def make(folder):
    with Lab({"ws": CLIENTS[0], "fs": SERVERS[0]}, ALERT - 2 * SECOND) as lab:
        for host, addresses in (("ws", CLIENTS), ("fs", SERVERS)):
            lab.run(host, ["ip", "addr", "add", f"{addresses[1]}/24", "dev", "eth0"], clock=False)
        lab.run("ws", ["ip", "route", "add", f"{SERVERS[1]}/32", "dev", "eth0", "src", CLIENTS[1]], clock=False)
        share = os.path.join(lab.folder, "reports")
        os.makedirs(f"{share}/in")
        os.makedirs(f"{share}/out")
        with open(f"{share}/out/two-ways.bin", "wb") as file:
            file.write(READ)
        os.utime(file.name, (ALERT // SECOND - 3600, ALERT // SECOND - 3600))
        lab.smbd("fs", {"reports": share}, {USER: PASSWORD}, ["server multi channel support = yes"])
        with lab.capture("port 445") as seen:
            lab.call("ws", os.path.abspath(__file__), "client")
        with open(f"{share}/in/two-ways.txt", "rb") as file:
            assert file.read() == WRITTEN
        write_pcap(f"{folder}/multichannel.pcap", moved(seen.packets, ALERT))
    expect(
        folder, "multichannel", client=CLIENTS[0], server=SERVERS[0], client_2=CLIENTS[1], server_2=SERVERS[1], shares=["\\\\10.1.2.10\\reports"],
        accounts=[{"domain": "CORP", "user": USER, "workstation": "WS-0117", "how": "ntlm"}],
        objects=[transfer("write", "reports", "in\\two-ways.txt", WRITTEN), transfer("read", "reports", "out\\two-ways.bin", READ)],
    )  # fmt: skip


if __name__ == "__main__":
    main(__file__, make, {"client": client})
