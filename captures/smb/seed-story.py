#!/usr/bin/python3
"""Three mornings on which a workstation reads the scheduled tasks of a server, and on the third the network around it.

Real programs throughout: smbd, impacket's client, Python's HTTP and TLS. Made up: what answers behind the pipe (pipes.py),
DNS, DHCP and NetBIOS datagrams, and the times: each conversation is moved to a moment of its own.
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from jobs import all_jobs, facts
from lab import ALERT, PYTHON, SECOND, Lab, expect, main, moved, transfer, write_pcapng

HOSTS = {"ws": "10.1.2.3", "ws2": "10.1.2.4", "ws3": "10.1.2.5", "fs": "10.1.2.10", "dns": "10.1.2.53", "web": "10.1.2.80"}
NAMES = {"fs01.corp.example": "10.1.2.10", "ws-0117.corp.example": "10.1.2.3", "intranet.corp.example": "10.1.2.80", "updates.corp.example": "10.1.2.80"}
USER, PASSWORD = "appadmin", "Summer-2018"
DAY = 86400 * SECOND


# --- on the hosts -----------------------------------------------------------------------------------------------------


def inventory(server):
    """What the workstation does every morning."""
    from impacket.dcerpc.v5 import atsvc, sasec, transport
    from impacket.dcerpc.v5.dtypes import NULL
    from impacket.smb3structs import SMB2_DIALECT_21
    from impacket.smbconnection import SMBConnection

    smb = SMBConnection("FS01", server, myName="WS-0117", preferredDialect=SMB2_DIALECT_21)
    smb.login(USER, PASSWORD, "CORP")

    def bound(interface):
        rpc = transport.SMBTransport(server, 445, r"\atsvc", smb_connection=smb).get_dce_rpc()
        rpc.connect()
        rpc.bind(interface)
        return rpc

    rpc = bound(sasec.MSRPC_UUID_SASEC)
    sasec.hSAGetNSAccountInformation(rpc, NULL, 273)
    sasec.hSAGetAccountInformation(rpc, NULL, "AV.job", 273)
    rpc.disconnect()
    rpc = bound(atsvc.MSRPC_UUID_ATSVC)
    jobs = atsvc.hNetrJobEnum(rpc)
    assert jobs["pEnumContainer"]["EntriesRead"] == 2
    rpc.disconnect()
    for name, data in all_jobs().items():
        got = []
        smb.getFile("ADMIN$", f"Tasks\\{name}", got.append)
        assert b"".join(got) == data
    smb.logoff()


def name_server(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        asked, peer = sock.recvfrom(512)
        labels, at = [], 12
        while asked[at]:
            labels.append(asked[at + 1 : at + 1 + asked[at]].decode())
            at += 1 + asked[at]
        found = NAMES.get(".".join(labels))
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 600, 4) + socket.inet_aton(found) if found else b""
        flags = 0x8580 if found else 0x8583
        sock.sendto(asked[:2] + struct.pack("!HHHHH", flags, 1, 1 if found else 0, 0, 0) + asked[12 : at + 5] + answer, peer)


def ask(name, number):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    sock.sendto(struct.pack("!HHHHHH", int(number), 0x0100, 1, 0, 0, 0) + question, (HOSTS["dns"], 53))
    sock.recv(512)


def lease(kind, number, client, *options):
    """A DHCP message of a client that has its address, RFC 2131."""
    op, kind_of = (1, 3) if kind == "request" else (2, 5)
    head = struct.pack("!BBBBIHH4s4s4s4s16s192x", op, 1, 6, 0, number, 0, 0, client, client if op == 2 else bytes(4), bytes(4), bytes(4), mac_of(client))
    parts = b"".join(bytes([code, len(value)]) + value for code, value in ((53, bytes([kind_of])), *options))
    return (head + b"\x63\x82\x53\x63" + parts + b"\xff").ljust(300, b"\0")


def mac_of(address):
    return (b"\x02\0" + address).ljust(16, b"\0")


def lease_server(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 67))
    while True:
        asked, peer = sock.recvfrom(1500)
        (number,) = struct.unpack_from("!I", asked, 4)
        options = (54, socket.inet_aton(address)), (51, struct.pack("!I", 86400)), (1, bytes((255, 255, 255, 0))), (6, socket.inet_aton(address)), (15, b"corp.example")
        sock.sendto(lease("ack", number, asked[12:16], *options), peer)


def renew(own, address, number):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind((address, 68))
    client = socket.inet_aton(address)
    options = (61, b"\x01" + mac_of(client)[:6]), (12, own.encode()), (55, bytes((1, 3, 6, 15)))
    sock.sendto(lease("request", int(number), client, *options), (HOSTS["dns"], 67))
    sock.recv(1500)


def web_server(address, folder):
    import http.server
    import ssl

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=folder)

    plain = http.server.ThreadingHTTPServer((address, 80), Handler)
    sealed = http.server.ThreadingHTTPServer((address, 443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    sealed.socket = context.wrap_socket(sealed.socket, server_side=True)
    threading.Thread(target=plain.serve_forever).start()
    sealed.serve_forever()


def browse(url):
    import http.client
    import ssl

    scheme, _, host, path = url.split("/", 3)
    kind = http.client.HTTPSConnection if scheme == "https:" else http.client.HTTPConnection
    more = {"context": ssl._create_unverified_context()} if scheme == "https:" else {}
    link = kind(host, timeout=5, **more)
    # The name that SNI and Host show; the address is known without a resolver.
    link._create_connection = lambda address, *_: socket.create_connection((NAMES[address[0]], address[1]))
    link.request("GET", "/" + path)
    assert link.getresponse().read()


def shout(name, own, address):
    """A NetBIOS name query and a browser's announcement to all."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("0.0.0.0", 137))

    def half_ascii(text, kind):
        return b"".join(bytes([0x41 + (c >> 4), 0x41 + (c & 15)]) for c in text.encode().ljust(15) + bytes([kind]))

    query = struct.pack("!HHHHHH", 0x4242, 0x0110, 1, 0, 0, 0) + b"\x20" + half_ascii(name, 0x20) + b"\0" + struct.pack("!HH", 0x20, 1)
    sock.sendto(query, ("10.1.2.255", 137))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("0.0.0.0", 138))
    # CIFS host announcement in an SMB1 transaction to \MAILSLOT\BROWSE.
    announce = struct.pack("<BBI", 1, 0, 720000) + own.encode().ljust(16, b"\0") + struct.pack("<BBIBBH", 6, 1, 0x1003, 15, 1, 0xAA55) + b"\0"
    slot = b"\\MAILSLOT\\BROWSE\0"
    head = b"\xffSMB\x25" + bytes(27)
    words = struct.pack("<HHHHBBHIHHHHHBBHHH", 0, len(announce), 0, 0, 0, 0, 0, 1000, 0, 0, 0, len(announce), 86, 3, 0, 1, 1, 2)
    body = head + bytes([17]) + words + struct.pack("<H", len(slot) + len(announce)) + slot + announce
    names = b"\x20" + half_ascii(own, 0) + b"\0" + b"\x20" + half_ascii("CORP", 0x1D) + b"\0"
    datagram = struct.pack("!BBH4sHHH", 0x11, 0x0A, 0x0B01, socket.inet_aton(address), 138, len(names) + len(body), 0)
    sock.sendto(datagram + names + body, ("10.1.2.255", 138))


# --- the story --------------------------------------------------------------------------------------------------------


def flows(packets):
    """Packets apart by conversation: addresses and ports of both ends, or what ARP asks."""
    out = {}
    for packet in packets:
        data = packet[1]
        if data[12:14] == b"\x08\x00":
            ends = [(data[26:30], data[34:36]), (data[30:34], data[36:38])]
        else:
            ends = [(data[28:32], b""), (data[38:42], b"")]
        out.setdefault((data[23] if data[12] == 8 and data[13] == 0 else 0, *sorted(ends)), []).append(packet)
    return list(out.values())


def make(folder):
    script, out = os.path.abspath(__file__), []
    jobs = all_jobs()
    for days_before in (2, 1, 0):
        at = ALERT - days_before * DAY
        with Lab(HOSTS, at - 2 * SECOND) as lab:
            share = os.path.join(lab.folder, "windows")
            os.makedirs(f"{share}/Tasks")
            for name, data in jobs.items():
                with open(f"{share}/Tasks/{name}", "wb") as file:
                    file.write(data)
                written = ALERT // SECOND - 30 * 86400
                os.utime(file.name, (written, written))
            home = lab.smbd("fs", {"ADMIN$": share}, {USER: PASSWORD})
            lab.pipes("fs", home, "atsvc")
            lab.start("dns", [PYTHON, script, "--call", "name_server", HOSTS["dns"]])
            lab.start("dns", [PYTHON, script, "--call", "lease_server", HOSTS["dns"]])
            time.sleep(0.5)
            with lab.capture() as seen:
                lab.call("ws", script, "ask", "fs01.corp.example", 1)
                lab.call("ws", script, "inventory", HOSTS["fs"])
            out += moved(seen.packets, at)
            if days_before:
                continue
            site = os.path.join(lab.folder, "site")
            os.makedirs(site)
            for name, size in (("index.html", 700), ("news.html", 2600), ("update.txt", 9000)):
                with open(f"{site}/{name}", "w") as file:
                    file.write((f"<p>{name} of the intranet, line after line.</p>\n" * 300)[:size])
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=intranet.corp.example",
                            "-keyout", f"{site}/key.pem", "-out", f"{site}/cert.pem", "-days", "365"], check=True, stderr=subprocess.DEVNULL, env=lab.environment())  # fmt: skip
            lab.start("web", [PYTHON, script, "--call", "web_server", HOSTS["web"], site], stderr=subprocess.DEVNULL)
            time.sleep(1)
            number = 100
            with lab.capture() as seen:
                for host, own in (("ws2", "WS-0118"), ("ws", "WS-0117"), ("ws3", "WS-0119")):
                    number += 1
                    lab.call(host, script, "renew", own, HOSTS[host], 0x5EED0000 + number)
                    for name in ("intranet.corp.example", "updates.corp.example", "printer9.corp.example"):
                        number += 1
                        lab.call(host, script, "ask", name, number)
                    for url in ("http://intranet.corp.example/index.html", "https://intranet.corp.example/news.html", "http://updates.corp.example/update.txt"):
                        lab.call(host, script, "browse", url)
                    lab.call(host, script, "shout", "PRINTER9", own, HOSTS[host])
            talks = flows(seen.packets)
            for number, talk in enumerate(talks):
                # From two and a half minutes before to two and a half after, evenly.
                out += moved(talk, ALERT - 150 * SECOND + number * 300 * SECOND // len(talks))
    write_pcapng(f"{folder}/seed-story.pcapng", out, "three mornings of one workstation; made by captures/smb/seed-story.py")
    calls = [
        {"interface": "378e52b0-c0a9-11cf-822d-00aa0051e40f", "opnum": 2, "count": 3},
        {"interface": "378e52b0-c0a9-11cf-822d-00aa0051e40f", "opnum": 3, "count": 3, "arguments": {"job": "AV.job"}},
        {"interface": "1ff70682-0a51-30e8-076d-740be8cee98b", "opnum": 2, "count": 3},
    ]
    expect(
        folder, "seed-story",
        client="10.1.2.3", server="10.1.2.10", dialect="0x0210",
        accounts=[{"domain": "CORP", "user": USER, "workstation": "WS-0117", "how": "ntlm", "sessions": 3}],
        shares=["\\\\10.1.2.10\\IPC$", "\\\\10.1.2.10\\ADMIN$"], pipes=["atsvc"], calls=calls,
        jobs=facts(),
        hosts={"10.1.2.3": "WS-0117", "10.1.2.4": "WS-0118", "10.1.2.5": "WS-0119", "10.1.2.10": "fs01.corp.example", "10.1.2.80": "intranet.corp.example"},
        objects=[transfer("read", "ADMIN$", f"Tasks\\{name}", data, times=3) for name, data in jobs.items()],
    )  # fmt: skip


if __name__ == "__main__":
    main(__file__, make, {f.__name__: f for f in (inventory, name_server, lease_server, ask, renew, web_server, browse, shout)})
