#!/usr/bin/env bash
# Records the captures here anew from real programs, in network namespaces of its own; needs root and Debian or Ubuntu. Challenges,
# session ids, ports and the pace differ each time, so what comes out is alike and not the same: check.py tells whether it holds
# what NAME.expected.json says. With --derived: only what rewritten.py makes from smb2-10.pcap, which is the same each time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONDONTWRITEBYTECODE=1

if [[ ${1:-} != --derived ]]; then
    missing=()
    need() { # need PACKAGE TEST... -- REASON
        local package=$1 test=()
        shift
        while [[ $1 != -- ]]; do
            test+=("$1")
            shift
        done
        if ! "${test[@]}" >/dev/null 2>&1; then
            echo "captures: $package is missing: $2" >&2
            missing+=("$package")
        fi
    }
    program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
    module() { /usr/bin/python3 -c "import $1"; }
    need samba program smbd -- "the server"
    need smbclient program smbclient -- "a client"
    need python3-impacket module impacket -- "another client, and NDR for the pipes' answers"
    need python3-pycryptodome module Cryptodome -- "RC4 for sealed calls"
    need faketime test -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 -- "the programs live in 2018"
    need tcpdump program tcpdump -- "records"
    need tshark program tshark -- "checks"
    need iproute2 program ip -- "makes the network"
    need ethtool program ethtool -- "turns offloads off"
    need openssl program openssl -- "makes the web server's certificate"
    need python3-lz4 module lz4.block -- "compresses"
    need libwim15 test -e /usr/lib/x86_64-linux-gnu/libwim.so.15 -- "compresses with LZ77+Huffman"
    need python3-pip module pip -- "fetches lznt1, which Debian does not have"
    if ((${#missing[@]})); then
        env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    module lznt1 2>/dev/null || /usr/bin/python3 -m pip install -q --target "$work" --no-deps lznt1==0.2
    export PYTHONPATH=$work
    for script in seed-story malicious-twin dialects samba-rpc multichannel two-users over-4mib compressed wrapped; do
        echo "captures: $script" >&2
        /usr/bin/python3 "$here/$script.py"
    done
fi
/usr/bin/python3 "$here/rewritten.py"
python3 "$here/check.py"
