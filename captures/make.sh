#!/usr/bin/env bash
# Rebuilds the captures here and the seeds for fuzzing from their scripts. With --check: tells whether what is committed is
# what the scripts make, byte for byte, and changes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seeds=$here/../fuzz/seeds
export PYTHONDONTWRITEBYTECODE=1

build() { # build CAPTURES SEEDS
    for script in "$here"/*.py; do
        case $(basename "$script") in packets.py | seeds.py | smb_seeds.py) ;; *) python3 "$script" "$1" ;; esac
    done
    python3 "$here/seeds.py" "$2"
}

if [[ ${1:-} == --check ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/captures" "$work/seeds"
    build "$work/captures" "$work/seeds"
    for file in "$here"/*.pcap*; do
        cmp "$file" "$work/captures/$(basename "$file")"
    done
    diff -r "$seeds" "$work/seeds"
    echo "captures and seeds are what their scripts make"
else
    rm -rf "$seeds"
    mkdir -p "$seeds"
    build "$here" "$seeds"
    ls -l "$here"/*.pcap*
fi
