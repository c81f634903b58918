# What the scripts beside this file share. GIB: gibibytes of traffic (2 unless told). RUNS: runs of which the median is taken (5).
# TAPLOOP: the program to measure, if not target/release/taploop. BENCH_DIR: a folder on the disk to be measured, with room for some five times GIB.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
GIB=${GIB:-2} RUNS=${RUNS:-5}
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target
taploop=${TAPLOOP:-$target/release/taploop}
AROUND=(--ip 10.77.0.1 --around 1700001650 --window 5m)

[[ -x $taploop ]] || cargo build --locked --release >&2
work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/taploop-bench.XXXXXX")
cleanup() { rm -rf "$work"; }
trap cleanup EXIT
log=$work/log

say() { echo "bench: $(date -u +%T) $*" >&2; }

# Runs a command and sets `took` (microseconds), `rss` (KiB at most resident) and `status`; what it says goes to the log.
# Any status but 0, 3 and 4 ends the script, since a figure of something that failed is none.
run() {
    local before=$EPOCHREALTIME after
    status=0
    /usr/bin/time -q -f %M -o "$work/rss" "$@" >"$work/out" 2>"$log" || status=$?
    after=$EPOCHREALTIME
    took=$((${after/./} - ${before/./}))
    rss=$(tail -n 1 "$work/rss")
    if ((status != 0 && status != 3 && status != 4)); then
        echo "bench: status $status from: $*" >&2
        tail -n 5 "$log" >&2
        exit 1
    fi
}
# The same with what it wrote on disk.
run_synced() {
    local before=$EPOCHREALTIME after
    run "$@"
    sync
    after=$EPOCHREALTIME
    took=$((${after/./} - ${before/./}))
}
median() { sort -n | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : int((a[NR / 2] + a[NR / 2 + 1]) / 2) }'; }
# Sets `took` to the median of RUNS.
medians() {
    local i all=()
    for ((i = 0; i < RUNS; i++)); do
        rm -f "${out:-}" # what is there already would be replaced, which waits for the disk
        run "$@"
        all+=("$took")
    done
    took=$(printf '%s\n' "${all[@]}" | median)
}
cold() { # forget what is in the page cache; needs root
    sync
    ((EUID != 0)) || echo 3 >/proc/sys/vm/drop_caches
}
ms() { awk -v us="$1" 'BEGIN { printf us < 100000 ? "%.1f ms" : "%.0f ms", us / 1000 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }
mib() { awk -v b="$1" 'BEGIN { printf "%.0f MiB", b / 1048576 }'; }
row() { printf '| %s | %s | %s | %s | %s |\n' "$@"; }
segments() { find "$1/rings" -name '*.pcapng' -type f | sort; }
size_of() { awk '{ s += $1 } END { print s + 0 }'; }
packet_bytes() { find "$1/rings" -name '*.pcapng' -type f -printf '%s\n' | size_of; }
index_bytes() { find "$1/rings" -type f ! -name '*.pcapng' -printf '%s\n' | size_of; }
packets_in() { capinfos -c -M -T -r "$1" 2>/dev/null | awk '{ n = $NF } END { print n + 0 }'; }
traffic() { # traffic GIB FILE [OPTIONS...]
    say "making $1 GiB of traffic ${*:3}"
    ${TRAFFIC:-cargo bench --locked --quiet --bench traffic --} --gib "$1" --out "$2" "${@:3}" 2>&1 | grep packets >&2
}
made_on() { # made_on WHAT: when, where and of which commit the figures are
    printf '%s; %s cores, %s; Linux %s; %s; %s; commit %s\n\n' "$(date -u +%F)" "$(nproc)" \
        "$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)" "$(uname -r)" \
        "$(findmnt -no FSTYPE,SOURCE --target "$work" | tr -s ' ')" "$1" "$(git describe --always --dirty 2>/dev/null || echo none)"
}
machine() {
    made_on "$GIB GiB; median of $RUNS"
    ((EUID == 0)) || printf 'Not root: "cold" rows were measured warm.\n\n'
    printf '| figure | taploop | beside it | ratio | bar |\n|---|---|---|---|---|\n'
}
stats() { # stats TITLE COMMAND...: what --stats prints, to be pasted below the table
    printf '\n%s:\n\n' "$1"
    "${@:2}" 2>&1 >/dev/null | sed 's/^/    /' || true
}
