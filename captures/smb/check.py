#!/usr/bin/env python3
"""Holds every capture here against its NAME.expected.json as tshark reads it: files, accounts, shares, calls.

check.py checks; check.py --files prints the table of files for ../README.md. What tshark 4.0 cannot see is passed over: empty
files, LZ4, and what a snap length cut."""

import collections
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def tshark(capture, *words):
    """What tshark prints of a capture, with the keys beside it."""
    keys, given = os.path.join(HERE, capture.split(".")[0] + ".keys"), []
    if os.path.exists(keys):
        for line in open(keys).read().splitlines():
            if line.startswith("password:"):
                given += ["-o", f"ntlmssp.nt_password:{line.split(':', 2)[2]}"]
            else:
                given += ["-o", f"uat:smb2_seskey_list:{line}"]
    with open(os.path.join(HERE, f"{capture.split('.')[0]}.expected.json")) as file:
        # What a keytab gives tshark 4.0 takes for no session key of SMB.
        session_key = json.load(file).get("session_key")
    if session_key:
        given += ["-o", f"uat:smb2_seskey_list:{session_key}"]
    line = ["tshark", "-n", "-o", "tcp.reassemble_out_of_order:TRUE", *given, "-r", os.path.join(HERE, capture), *words]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def fields(capture, condition, *names):
    out = tshark(capture, "-Y", condition, "-T", "fields", "-E", "occurrence=f", *(w for n in names for w in ("-e", n)))
    return [tuple(line.split("\t")) for line in out.splitlines()]


def exported(capture):
    with tempfile.TemporaryDirectory() as folder:
        tshark(capture, "-q", "--export-objects", f"smb,{folder}")
        return collections.Counter(hashlib.sha256(open(f, "rb").read()).hexdigest() for f in glob.glob(folder + "/*"))


def problems(capture, facts):
    have = exported(capture)
    want = collections.Counter()
    for one in facts["objects"]:
        if one["complete"] and one["size"] and "lz4" not in one["path"] and not facts.get("cut_to"):
            want[one["sha256"]] += one.get("times", 1)
    for digest, times in want.items():
        # tshark exports bytes that come again under the same name and file id once or more; at least once is asked for.
        if have[digest] < 1 or ("times" in str(facts["objects"]) and have[digest] < times):
            yield f"{times} x {digest} expected, {have[digest]} exported"
    accounts = {(a["domain"], a["user"]) for a in facts["accounts"] if a.get("how") != "kerberos"}
    seen = {(d, u) for d, u in fields(capture, "ntlmssp.messagetype==3", "ntlmssp.auth.domain", "ntlmssp.auth.username")}
    seen |= {(d, u) for d, u in fields(capture, "smb.cmd==0x73 && smb.account", "smb.primary_domain", "smb.account")}
    if not facts.get("cut_to") and seen != accounts:
        yield f"accounts {accounts} expected, {seen} seen"
    shares = {s for row in fields(capture, "smb2.cmd==3 || smb.cmd==0x75", "smb2.tree", "smb.path") for s in row if s}
    if not facts.get("cut_to") and not {s.lower() for s in facts["shares"]} <= {s.lower() for s in shares}:
        yield f"shares {facts['shares']} expected, {shares} seen"
    want = collections.Counter()
    for call in facts.get("calls", []):
        want[str(call["opnum"])] += call["count"]
    have = collections.Counter(n for n, in fields(capture, "dcerpc.pkt_type==0 && dcerpc.cn_flags.last_frag==1", "dcerpc.opnum"))
    if want != have:
        yield f"operations {dict(want)} expected, {dict(have)} seen"


def expectations():
    for path in sorted(glob.glob(HERE + "/*.expected.json")):
        name = os.path.basename(path)[: -len(".expected.json")]
        (capture,) = (f for f in os.listdir(HERE) if f.startswith(name + ".pcap"))
        with open(path) as file:
            yield capture, json.load(file)


def main():
    if sys.argv[1:] == ["--files"]:
        rows = {}
        for _, facts in expectations():
            for one in facts["objects"]:
                if "sha256" in one:
                    name = one["path"].split("\\")[-1]
                    rows[(name.removeprefix("w-"), one["size"], one["sha256"])] = None
        for name, size, digest in sorted(rows):
            print(f"| {name} | {size:,} | `{digest}` |")
        return
    bad = 0
    for capture, facts in expectations():
        for problem in problems(capture, facts):
            bad += 1
            print(f"{capture}: {problem}")
    if bad:
        sys.exit(1)
    print("the captures in captures/smb hold what is said of them")


if __name__ == "__main__":
    main()
