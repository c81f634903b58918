#!/usr/bin/python3
"""Answers DCE/RPC behind the named pipes of an smbd: pipes.py FOLDER PIPE...

smbd hands each open of \\PIPE\\NAME to the socket FOLDER/NAME. What arrives there is first smbd's own account of the client
(named_pipe_auth.idl of Samba), then RPC PDUs, each behind a length of two bytes. The Windows services that Samba does not
have (task scheduler, service control) are answered just well enough for impacket's clients. NDR is impacket's, both ways.
"""

import os
import socket
import struct
import sys
import threading

from impacket.dcerpc.v5 import atsvc
from impacket.dcerpc.v5.rpcrt import MSRPC_ALTERCTX, MSRPC_AUTH3, MSRPC_BIND, MSRPC_REQUEST
from impacket.uuid import bin_to_string, uuidtup_to_bin

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from seal import Seal, trailer

NDR32 = uuidtup_to_bin(("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0"))
MANAGER, SERVICE = bytes(4) + bytes(range(0x10, 0x20)), bytes(4) + bytes(range(0x20, 0x30))
#: Of the account that seals its calls.
PASSWORD = "Summer-2018"
#: What NetrJobEnum tells: job id, command, time of day in milliseconds.
JOBS = [(1, "C:\\Tools\\inventory.cmd /quiet", 6 * 3_600_000), (2, "C:\\Tools\\rotate-logs.cmd", 23 * 3_600_000)]


def job_enum(_):
    out = atsvc.NetrJobEnumResponse()
    out["pEnumContainer"]["EntriesRead"] = len(JOBS)
    entries = []
    for number, command, when in JOBS:
        one = atsvc.AT_ENUM()
        one["JobId"], one["JobTime"], one["DaysOfMonth"], one["DaysOfWeek"], one["Flags"] = number, when, 0, 0x7F, 1
        one["Command"] = command + "\0"
        entries.append(one)
    out["pEnumContainer"]["Buffer"] = entries
    out["pTotalEntries"] = len(JOBS)
    out["pResumeHandle"] = 0
    return out


def job_add(_):
    out = atsvc.NetrJobAddResponse()
    out["pJobId"] = 3
    return out


def raw(stub):
    return lambda _: stub


def text_pointer(identity, value):
    """A unique pointer to a conformant varying string of UTF-16."""
    data = (value + "\0").encode("utf-16-le")
    data = struct.pack("<IIII", identity, len(data) // 2, 0, len(data) // 2) + data
    return data + b"\0" * (-len(data) % 4)


def account(value, texts):
    """Answers with a name in a conformant array as long as the caller's, which comes after `texts` strings in the request."""

    def answer(stub):
        at = 4
        for number in range(texts):
            if number or struct.unpack_from("<I", stub)[0]:
                at += 12 + struct.unpack_from("<I", stub, at + 8)[0] * 2
                at += -at % 4
        (size,) = struct.unpack_from("<I", stub, at)
        array = (value + "\0").encode("utf-16-le").ljust(size * 2, b"\0")
        return struct.pack("<I", size) + array + b"\0" * (-len(array) % 4) + OK

    return answer


def service_status(state):
    return struct.pack("<7I", 0x10, state, 1 if state == 4 else 0, 0, 0, 0, 0) + bytes(4)


SCHEDULER = "86d35949-83c9-4044-b424-db363231fd0c"
SASEC = "378e52b0-c0a9-11cf-822d-00aa0051e40f"
ATSVC = "1ff70682-0a51-30e8-076d-740be8cee98b"
SVCCTL = "367abb81-9844-35f1-ad32-98f038001003"
OK = bytes(4)

#: What is answered: interface and operation number -> stub data, or what gives it from the request's.
ANSWERS = {
    (ATSVC, 0): job_add,
    (ATSVC, 1): raw(OK),
    (ATSVC, 2): job_enum,
    (SASEC, 0): raw(OK),
    (SASEC, 1): raw(OK),
    (SASEC, 2): account("CORP\\svc-tasks", 1),
    (SASEC, 3): account("CORP\\svc-av", 2),
    (SCHEDULER, 0): raw(struct.pack("<I", 0x10004) + OK),
    (SCHEDULER, 1): lambda stub: text_pointer(0x20000, registered_path(stub)) + struct.pack("<II", 0, 0),
    (SCHEDULER, 12): raw(bytes(range(0x40, 0x50)) + OK),
    (SCHEDULER, 13): raw(OK),
    (SCHEDULER, 16): raw(struct.pack("<8H", 2018, 6, 4, 21, 10, 42, 3, 0) + struct.pack("<I", 0) + OK),
    (SVCCTL, 0): raw(bytes(20) + OK),
    (SVCCTL, 1): raw(service_status(1) + OK),
    (SVCCTL, 2): raw(OK),
    (SVCCTL, 6): raw(service_status(4) + OK),
    (SVCCTL, 12): raw(struct.pack("<I", 0) + SERVICE + OK),
    (SVCCTL, 15): raw(MANAGER + OK),
    (SVCCTL, 16): raw(SERVICE + OK),
    (SVCCTL, 19): raw(OK),
}


def registered_path(stub):
    """The path argument of SchRpcRegisterTask: a unique pointer to a string, the first thing in the request."""
    if struct.unpack_from("<I", stub)[0] == 0:
        return "\\"
    count = struct.unpack_from("<I", stub, 12)[0]
    return stub[16 : 16 + count * 2].decode("utf-16-le").rstrip("\0")


def pdu(kind, call, body, flags=3):
    return struct.pack("<BBBBIHHI", 5, 0, kind, flags, 0x10, 16 + len(body), 0, call) + body


def bind_answer(kind, call, body, contexts, pipe):
    transmit, receive, _, count = struct.unpack_from("<HHIB", body)
    at, results = 12, b""
    for _ in range(count):
        number, transfers = struct.unpack_from("<HB", body, at)
        uuid = bin_to_string(body[at + 4 : at + 20]).lower()
        offered = [body[at + 24 + 20 * i : at + 44 + 20 * i] for i in range(transfers)]
        at += 24 + 20 * transfers
        known = any(u == uuid for u, _ in ANSWERS)
        if known and NDR32 in offered:
            contexts[number] = uuid
            results += struct.pack("<HH", 0, 0) + NDR32
        else:
            results += struct.pack("<HH", 2, 1 if not known else 2) + bytes(20)
    address = f"\\PIPE\\{pipe}".encode() + b"\0"
    head = struct.pack("<HHI", transmit, receive, 0x1234) + struct.pack("<H", len(address)) + address
    head += b"\0" * (-len(head) % 4) + struct.pack("<I", count)
    return pdu(kind, call, head + results)


def sealed_bind_answer(answer, data, seal):
    """The answer to a bind with NTLM: the challenge goes behind it."""
    token = seal.challenge_message(data[-struct.unpack_from("<H", data, 10)[0] :])
    auth_context = struct.unpack_from("<I", data, len(data) - struct.unpack_from("<H", data, 10)[0] - 4)[0]
    body = answer + b"\0" * (-len(answer) % 4)
    body += trailer(len(body) - len(answer), auth_context) + token
    return body[:8] + struct.pack("<HH", len(body), len(token)) + body[12:]


def answer_pdu(data, talk):
    """The answer to one PDU, or None. `talk` is what this open of the pipe remembers."""
    kind, flags, auth = data[2], data[3], struct.unpack_from("<H", data, 10)[0]
    call = struct.unpack_from("<I", data, 12)[0]
    if kind in (MSRPC_BIND, MSRPC_ALTERCTX):
        out = bind_answer(12 if kind == MSRPC_BIND else 15, call, data[16:], talk.contexts, talk.pipe)
        return sealed_bind_answer(out, data, talk.seal) if auth else out
    if kind == MSRPC_AUTH3:
        talk.seal.authenticate(data[-auth:])
    if kind != MSRPC_REQUEST:
        return None
    _, context, opnum = struct.unpack_from("<IHH", data, 16)
    talk.calls[call] = talk.calls.get(call, b"") + (talk.seal.open(data) if auth else data[24:])
    if not flags & 2:
        return None
    handler = ANSWERS.get((talk.contexts.get(context), opnum))
    if handler is None:
        return pdu(3, call, struct.pack("<IHBBII", 0, context, 0, 0, 0x1C010002, 0))
    stub = handler(talk.calls.pop(call))
    stub = stub if isinstance(stub, bytes) else stub.getData()
    if auth:
        return talk.seal.close(call, context, stub, struct.unpack_from("<I", data, len(data) - auth - 4)[0])
    return pdu(2, call, struct.pack("<IHBB", len(stub), context, 0, 0) + stub)


class Talk:
    def __init__(self, pipe):
        self.pipe, self.contexts, self.calls, self.seal = pipe, {}, {}, Seal(PASSWORD)


def exactly(sock, count):
    out = b""
    while len(out) < count:
        piece = sock.recv(count - len(out))
        if not piece:
            raise EOFError
        out += piece
    return out


def serve(sock, pipe):
    talk, buffer = Talk(pipe), b""
    try:
        (length,) = struct.unpack(">I", exactly(sock, 4))
        hello = exactly(sock, length)
        level = struct.unpack_from("<I", hello, 4)[0]
        # A message mode pipe.
        body = b"NPAM" + struct.pack("<IIHHIQI", level, level, 2, 0x5FF, 0, 4096, 0)
        sock.sendall(struct.pack(">I", len(body)) + body)
        while True:
            (length,) = struct.unpack("<H", exactly(sock, 2))
            buffer += exactly(sock, length)
            while len(buffer) >= 16 and len(buffer) >= struct.unpack_from("<H", buffer, 8)[0]:
                size = struct.unpack_from("<H", buffer, 8)[0]
                one, buffer = buffer[:size], buffer[size:]
                out = answer_pdu(one, talk)
                if out:
                    sock.sendall(struct.pack("<H", len(out)) + out)
    except (EOFError, OSError):
        pass
    finally:
        sock.close()


def main(folder, *names):
    for name in names:
        door = socket.socket(socket.AF_UNIX)
        door.bind(os.path.join(folder, name))
        door.listen(8)

        def accept(door=door, name=name):
            while True:
                sock, _ = door.accept()
                threading.Thread(target=serve, args=(sock, name), daemon=True).start()

        threading.Thread(target=accept).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
