#!/usr/bin/env bash
# One host's five minutes out of a big ring: beside tcpdump over the segments, a ring of a smaller size with the same answer, rings of few and of
# many segments; the whole ring beside `cat`; and look-ups that match nothing.
source "$(dirname "$0")/lib.sh"
SMALL=${SMALL:-1}
MANY=${MANY:-40000}
GROWING_MIB=${GROWING_MIB:-240}
out=$work/cut.pcapng
cut() { "$@" "$taploop" cut "${AROUND[@]}" -w "$out" --data "$data"; }
import() { # import FOLDER FILE OPTIONS...
    say "importing ${*:2}"
    run "$taploop" import --data "$work/$1" "${@:3}" "$work/$2"
    sync # or the kernel writes back what was imported while a cut is measured
}

traffic "$GIB" "$work/big.pcap"
traffic "$SMALL" "$work/small.pcap"
bytes=$(stat -c %s "$work/big.pcap")
import small small.pcap
import big big.pcap
rm "$work/small.pcap"

machine
run "$taploop" --version
medians "$taploop" --version
start=$took
row "start-up (--version)" "$(ms "$start")" "" "" ""

data=$work/big
cut run # warm
found=$(packets_in "$out")
cut medians
warm=$took peak=$rss
data=$work/small
cut run
same=$(packets_in "$out")
cut medians
small=$took
mapfile -t files < <(segments "$work/big")
over_segments() {
    local f
    rm -f "$work"/td.*
    for f in "${files[@]}"; do tcpdump -n -r "$f" -w "$work/td.$(basename "$f").pcap" host 10.77.0.1 2>/dev/null; done
}
say "tcpdump over ${#files[@]} segments"
over_segments # warm
before=$EPOCHREALTIME
over_segments
after=$EPOCHREALTIME
peer=$((${after/./} - ${before/./}))
theirs=0
for f in "$work"/td.*; do theirs=$((theirs + $(packets_in "$f"))); done
rm -f "$work"/td.*
[[ $found == "$same" && $found == "$theirs" ]] || say "NOT THE SAME ANSWER: $found from the big ring, $same from the small one, $theirs by tcpdump"
row "five minutes of one host, warm ($found packets); tcpdump over the segments; start-up apart" "$(ms "$warm")" "$(ms "$peer")" \
    "$(ratio "$peer" $((warm > start ? warm - start : 1)))" "100 at least"
row "the same, $GIB GiB ring; $SMALL GiB ring" "$(ms "$warm")" "$(ms "$small")" "$(ratio "$warm" "$small")" "1.2 at most"
row "the same, peak memory" "$(mib $((peak * 1024)))" "" "" "128 MiB at most"
# As --stats tells: the medians of the time to the first byte, and how many granules were read, which should be one a packet.
told() { { "$taploop" cut "${AROUND[@]}" -w "$out" --data "$work/big" --stats 2>&1 || true; } | sed -n "s/^$1: \\([0-9.]*\\).*/\\1/p"; }
all=()
for ((i = 0; i < RUNS; i++)); do all+=("$(told 'time to first byte' | awk '{ printf "%.0f", $1 * 1000 }')"); done
row "the same, first byte" "$(ms "$(printf '%s\n' "${all[@]}" | median)")" "" "" "10 ms at most"
granules=$({ "$taploop" cut "${AROUND[@]}" -w "$out" --data "$work/big" --stats 2>&1 || true; } | sed -n 's/^packet bytes read: .* in \([0-9]*\) granules/\1/p')
row "the same, granules read; packets" "$granules" "$found" "$(ratio "$granules" "$found")" "1.05 at most"

data=$work/big
all=()
for ((i = 0; i < RUNS; i++)); do
    cold
    "$taploop" --version >/dev/null # the program itself is not what is measured
    cut run
    all+=("$took")
done
row "the same, cold" "$(ms "$(printf '%s\n' "${all[@]}" | median)")" "" "" ""

for request in "--ip 10.99.99.99" "--ip 10.77.0.1 --from 1700003000" "--port 1" "--community-id 1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=" "--to 1600000000"; do
    # shellcheck disable=SC2086
    medians "$taploop" cut --data "$work/big" $request -w "$out"
    row "nothing: \`$request\` (status $status)" "$(ms "$took")" "" "" "milliseconds"
done

ours=() theirs=() whole_peak=0
copy() { xargs -d '\n' cat >"$work/copy" < <(printf '%s\n' "${files[@]}"); }
export -f copy
for ((i = 0; i < 3; i++)); do
    rm -f "$out" "$work/copy"
    cold
    run_synced "$taploop" cut --data "$work/big" -w "$out"
    ours+=("$took")
    ((rss <= whole_peak)) || whole_peak=$rss
    rm -f "$out"
    cold
    before=$EPOCHREALTIME
    copy
    sync
    after=$EPOCHREALTIME
    theirs+=($((${after/./} - ${before/./})))
    rm -f "$work/copy"
    say "the whole ring $(ms "${ours[-1]}"), cat $(ms "${theirs[-1]}")"
done
a=$(printf '%s\n' "${ours[@]}" | median) b=$(printf '%s\n' "${theirs[@]}" | median)
row "the whole ring, cold, until sync; cat of the segments" "$(ms "$a")" "$(ms "$b")" "$(ratio "$a" "$b")" "2 at most"
row "the same, peak memory" "$(mib $((whole_peak * 1024)))" "" "" "128 MiB at most"

# From a segment that still grows: its writer waits for more on its standard input.
mkfifo "$work/more"
"$taploop" import --data "$work/growing" --interface big --segment-bytes 256MiB "$work/more" 2>"$log" &
writer=$!
exec 9>"$work/more"
head -c $((GROWING_MIB << 20)) "$work/big.pcap" >&9
sleep 2
sync
data=$work/growing
log_file=$(find "$work/growing" -name '*.log' | tail -n 1)
packet_file=$(dirname "$(dirname "$log_file")")/$(basename "$log_file" .log).pcapng
# A flow of the growing segment itself: the host that its middle packet comes from.
grown=$(tcpdump -n -r "$packet_file" ip 2>/dev/null | sed -n '20000{s/.* IP \([0-9]*\.[0-9]*\.[0-9]*\.[0-9]*\)\..*/\1/p;q}' || true)
run "$taploop" cut --data "$data" --ip "$grown" -w "$out"
all=()
for ((i = 0; i < RUNS; i++)); do
    # Status 4: a segment that grows is complete to nothing while it is imported.
    all+=("$({ "$taploop" cut --data "$data" --ip "$grown" -w "$out" --stats 2>&1 || true; } | sed -n 's/^time to first byte: \([0-9.]*\).*/\1/p' | awk '{ printf "%.0f", $1 * 1000 }')")
done
row "first byte of a host's packets from a growing segment" "$(ms "$(printf '%s\n' "${all[@]}" | median)")" "" "" "10 ms at most"
medians "$taploop" cut --data "$data" --ip 10.99.99.99 -w "$out"
row "nothing, from a growing segment of $(mib "$(stat -c %s "$packet_file")") (index so far $(mib "$(stat -c %s "$log_file")"))" "$(ms "$took")" "" "" "10 ms at most, start-up apart"
stats_growing=$(stats "Cut of a host ($grown) from a growing segment" "$taploop" cut --data "$data" --ip "$grown" -w "$out" --stats)
exec 9>&-
wait $writer || true
rm -rf "$work/growing"

# A ring of many segments beside one of few, the same stretch of traffic asked of both: segments of five minutes, 40 and MANY of them.
stats_big=$(stats "Cut of five minutes from $GIB GiB, warm" "$taploop" cut --data "$work/big" "${AROUND[@]}" -w "$out" --stats)
rm -rf "$work/big" "$work/small"
segment=214748 # bytes of five minutes of the long traffic
times=()
for count in 40 "$MANY"; do
    traffic "$(awk -v n="$count" -v b=$segment 'BEGIN { print n * b / 2^30 }')" "$work/long.pcap" --hours "$(awk -v n="$count" 'BEGIN { print n / 12 }')"
    import long long.pcap --segment-bytes $segment
    rm "$work/long.pcap"
    data=$work/long
    made=$(segments "$data" | wc -l)
    cut run
    [[ $(packets_in "$out") -ge 2000 ]] || say "NOT THE SAME ANSWER from $made segments"
    cut medians
    times+=("$took")
    stats_many=$(stats "Five minutes from a ring of $made segments" "$taploop" cut --data "$data" "${AROUND[@]}" -w "$out" --stats)
    medians "$taploop" cut --data "$data" --ip 10.99.99.99 -w "$out"
    row "nothing: \`--ip 10.99.99.99\`, no window, a ring of $made segments" "$(ms "$took")" "" "" ""
    rm -rf "$data"
done
row "five minutes of one host, a ring of $MANY segments; of 40" "$(ms "${times[1]}")" "$(ms "${times[0]}")" "$(ratio "${times[1]}" "${times[0]}")" "1.5 at most"

# The same hour in 40 segments and in MANY: the five minutes themselves lie in MANY / 12 segments.
times=()
for count in 40 "$MANY"; do
    import parts big.pcap --segment-bytes $((bytes / count))
    data=$work/parts
    say "$count asked for, $(segments "$data" | wc -l) segments made"
    cut run
    [[ $(packets_in "$out") == "$found" ]] || say "NOT THE SAME ANSWER from $count segments"
    cut medians
    times+=("$took")
    stats_parts=$(stats "Five minutes in $((count / 12)) segments" "$taploop" cut --data "$data" "${AROUND[@]}" -w "$out" --stats)
    rm -rf "$data"
done
row "five minutes of one host, lying in $((MANY / 12)) segments; in 3 or 4" "$(ms "${times[1]}")" "$(ms "${times[0]}")" "$(ratio "${times[1]}" "${times[0]}")" ""
printf '%s\n%s\n%s\n%s\n' "$stats_big" "$stats_growing" "$stats_many" "$stats_parts"
