#!/usr/bin/env bash
# Installs what a fresh Debian or Ubuntu lacks for building, testing or measuring Taploop: setup.sh build|test|check|bench|fuzz...
# Only what is missing is installed, from the system's own packages, and each with its reason. Rust itself must be there.
set -euo pipefail

missing=()
need() { # need PACKAGE TEST... -- REASON
    local package=$1 test=()
    shift
    while [[ $1 != -- ]]; do
        test+=("$1")
        shift
    done
    if ! "${test[@]}" >/dev/null 2>&1 && [[ " ${missing[*]-} " != *" $package "* ]]; then
        echo "setup: $package is missing: $2" >&2
        missing+=("$package")
    fi
}
header() { [[ -e /usr/include/$1 || -e /usr/local/include/$1 ]]; }
program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }

for part in "$@"; do
    case $part in
    build)
        need gcc program cc -- "links the program and compiles zstd"
        need libc6-dev header stdlib.h -- "the C library's headers, for zstd"
        need libpcap-dev header pcap/pcap.h -- "libpcap compiles and judges the filters"
        ;;
    test)
        need tcpdump program tcpdump -- "tests compare cuts with what tcpdump selects"
        need tshark program tshark -- "tests have it read every kind of file that is written"
        need wireshark-common program capinfos -- "capinfos, for the same"
        need bsdutils program script -- "gives a test a terminal"
        need iproute2 program ip -- "tests record links between network namespaces that they make"
        need e2fsprogs program mkfs.ext4 -- "tests fill a small disk of their own"
        need mount program losetup -- "mounts it"
        need samba program smbd -- "a real server, out of whose traffic tests take files"
        need samba-common-bin program smbpasswd -- "gives it accounts"
        need smbclient program smbclient -- "its client"
        need python3-impacket /usr/bin/python3 -c "import impacket" -- "another client"
        ;;
    check)
        need python3 program python3 -- "checks that the captures are what their scripts make"
        ;;
    bench)
        need tcpdump program tcpdump -- "a peer to measure beside"
        need wireshark-common program editcap -- "editcap and dumpcap, peers to measure beside"
        need time test -x /usr/bin/time -- "measures peak memory"
        ;;
    objects)
        need tshark program tshark -- "a peer to measure beside"
        need openssl program openssl -- "a peer to measure beside"
        need samba program smbd -- "a real server, whose traffic is measured"
        need samba-common-bin program smbpasswd -- "gives it an account"
        need smbclient program smbclient -- "its client"
        need iproute2 program ip -- "makes the network namespaces that they run in"
        need ethtool program ethtool -- "turns offloads off, or packets are merged on the way"
        ;;
    stenographer)
        need stenographer program stenotype -- "a peer to measure beside"
        need tcpreplay program tcpreplay -- "sends traffic past it"
        need iproute2 program ip -- "makes the network namespaces that it runs in"
        need iputils-ping program ping -- "keeps the link from going quiet"
        need curl program curl -- "asks stenographer over HTTPS"
        need openssl program openssl -- "makes its certificates"
        ;;
    record)
        need netsniff-ng program netsniff-ng -- "a peer to measure beside"
        need stenographer program stenotype -- "a peer to measure beside"
        need iproute2 program ip -- "makes the network namespaces that the recorders run in"
        need ethtool program ethtool -- "turns offloads off, or packets are merged on the way"
        ;;
    fuzz)
        need g++ program c++ -- "compiles libFuzzer"
        ;;
    *)
        echo "setup: no part is called $part" >&2
        exit 2
        ;;
    esac
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: there is no apt-get here; please install by hand: ${missing[*]}" >&2
    exit 1
fi
root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "setup: not root and no sudo; please run: apt-get install ${missing[*]}" >&2 && exit 1; }
    root=(sudo)
fi
echo "setup: apt-get install ${missing[*]}" >&2
quiet() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }
# Package lists of another day may name files that are gone; fetch them only where needed, once.
quiet install --no-install-recommends "${missing[@]}" 2>/dev/null || { quiet update && quiet install --no-install-recommends "${missing[@]}"; }
