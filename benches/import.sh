#!/usr/bin/env bash
# Import, index included, beside editcap copying the same file: both from the page cache, both until `sync`, in turns.
source "$(dirname "$0")/lib.sh"
traffic "$GIB" "$work/t.pcap"
machine
ours=() theirs=() peak=0
for ((i = 0; i < RUNS; i++)); do
    cat "$work/t.pcap" >/dev/null
    rm -rf "$work/data" "$work/e.pcapng"
    sync
    run_synced "$taploop" import --data "$work/data" "$work/t.pcap"
    ours+=("$took")
    ((rss <= peak)) || peak=$rss
    size=$(packet_bytes "$work/data") index=$(index_bytes "$work/data")
    rm -rf "$work/data"
    sync
    run_synced editcap -F pcapng "$work/t.pcap" "$work/e.pcapng"
    theirs+=("$took")
    say "import $(ms "${ours[-1]}"), editcap $(ms "${theirs[-1]}")"
done
a=$(printf '%s\n' "${ours[@]}" | median) b=$(printf '%s\n' "${theirs[@]}" | median)
row "import, until sync; editcap beside" "$(ms "$a")" "$(ms "$b")" "$(ratio "$a" "$b")" "1 at most"
row "import, peak memory" "$(mib $((peak * 1024)))" "" "" ""
row "index, granule table included, of packet bytes" "$(mib "$index")" "$(mib "$size")" "$(awk -v a="$index" -v b="$size" 'BEGIN { printf "%.2f %%", 100 * a / b }')" "1.4 % at most"
