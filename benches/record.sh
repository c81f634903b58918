#!/usr/bin/env bash
# Recorders beside one another, in turn, under the same load. Needs root: a sender in one network namespace, pinned to core 0, sends over a veth pair
# to a recorder in another, pinned to core 1. Installs what it lacks (Debian packages tcpdump, wireshark-common, netsniff-ng, stenographer, iproute2,
# ethtool).
# ROUNDS: of which medians are taken (3). PACKETS: sent in each run (3,000,000). RATE: of them a second (375,000), and QUOTA_RATE under a quota.
# ONLY: some of the recorders, as taploop,tcpdump. QUOTAS: percent of a core ("25 10"). PARTS: some of "mixed small top quota fresh memory".
# SECONDS_FRESH, SECONDS_SLOW, SECONDS_MEMORY: how long those parts take (20, 60, 60).
source "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-3} PACKETS=${PACKETS:-3000000} RATE=${RATE:-375000} QUOTAS=${QUOTAS-25 10}
ONLY=${ONLY:-tcpdump,dumpcap,netsniff-ng,stenotype,taploop}
PARTS=${PARTS:-mixed small top quota fresh memory}
QUOTA_RATE=${QUOTA_RATE:-$RATE}
SECONDS_FRESH=${SECONDS_FRESH:-20} SECONDS_SLOW=${SECONDS_SLOW:-60} SECONDS_MEMORY=${SECONDS_MEMORY:-60}
LEAD=2 TAIL=3 # seconds of ten packets each: to start in, and to catch up in
STOP_MAX=60   # seconds that a recorder may take to end; stenotype, which often never does, a sixth
FLOWS=20000 CAPTURE_PACKETS=200000
((EUID == 0)) || { echo "bench: record.sh needs root" >&2; exit 1; }
(($(nproc) >= 2)) || { echo "bench: record.sh needs two cores" >&2; exit 1; }
dev/setup.sh build bench record
PATH=$PATH:/usr/sbin:/sbin
gen=taploop-bench-gen rec=taploop-bench-rec
recorder='' timer='' sender='' nudger='' group='' quota=0

stop_all() {
    local space pid
    for pid in $sender $nudger $recorder $timer; do kill -9 "$pid" 2>/dev/null || true; done
    for space in $gen $rec; do
        ip netns pids $space 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del $space 2>/dev/null || true
    done
    if [[ -n $group && -d $group ]]; then
        for ((i = 0; i < 50; i++)); do rmdir "$group" 2>/dev/null && break || sleep 0.1; done
    fi
    cleanup
}
trap stop_all EXIT
trap 'exit 130' INT TERM

helper() { # helper NAME: builds a program of benches/ and prints where it lies
    cargo bench --locked --quiet --no-run --bench "$1" --message-format json | sed -n "s/.*\"executable\":\"\([^\"]*\/$1-[^\"]*\)\".*/\1/p" | tail -n 1
}
say "building the sender and the reader"
send=${SEND:-$(helper send)} fresh=${FRESH:-$(helper fresh)}

ip netns add $gen
ip netns add $rec
ip link add tlb-a netns $gen type veth peer name tlb-b netns $rec
for side in "$gen tlb-a" "$rec tlb-b"; do
    read -r space device <<<"$side"
    ip netns exec "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip netns exec "$space" ethtool -K "$device" tso off gso off gro off rx off tx off >/dev/null 2>&1 || true
    ip -n "$space" link set lo up
    # No packet but those of the sender.
    ip -n "$space" link set "$device" arp off up
done

# The group that holds a recorder to part of a core.
for v1 in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct; do
    [[ -e $v1/cgroup.procs && ! -e $v1/cgroup.controllers ]] && group=$v1/taploop-bench && break
done
if [[ -z $group ]] && grep -qw cpu /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
    group=/sys/fs/cgroup/taploop-bench
    grep -qw cpu /sys/fs/cgroup/cgroup.subtree_control || echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
fi
hold() { # hold PERCENT
    [[ -n $group ]] || { echo "bench: no cgroup can hold a recorder to part of a core here: leave quota out of PARTS" >&2; exit 1; }
    mkdir -p "$group"
    if [[ -e $group/cpu.max ]]; then
        echo "$(($1 * 1000)) 100000" >"$group/cpu.max"
    else
        echo 100000 >"$group/cpu.cfs_period_us"
        echo $(($1 * 1000)) >"$group/cpu.cfs_quota_us"
    fi
}
throttled() { awk '$1 == "nr_throttled" { n = $2 } END { print n + 0 }' "$group/cpu.stat"; }

# CPU seconds of the kernel threads that write back.
writers() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v hz="$(getconf CLK_TCK)" '/\((kworker|jbd2|kswapd|xfs|btrfs)/ { sub(/.*\) /, ""); n += $12 + $13 } END { print n / hz }'; }
link_stat() { ip netns exec "$1" cat "/sys/class/net/$2/statistics/$3"; }
now_us() { echo "${EPOCHREALTIME/./}"; }
of() { awk -v a="$1" -v n="$2" 'BEGIN { printf "%.3f", (n > 0 ? a / n * 1e6 : 0) }'; } # of SECONDS PACKETS: seconds per million

command_of() { # command_of RECORDER FOLDER: sets `command`
    case $1 in
    tcpdump) command=(tcpdump -i tlb-b -n -Z root -B 65536 -w "$2/o.pcap") ;;
    dumpcap) command=(dumpcap -q -i tlb-b -B 64 -w "$2/o.pcapng") ;;
    netsniff-ng) command=(netsniff-ng -i tlb-b -o "$2/o.pcap" -s -S 64MiB) ;;
    stenotype)
        mkdir -p "$2/t/PKT0" "$2/t/IDX0"
        command=(stenotype --iface=tlb-b "--dir=$2/t" --threads=1 --blocks=256 --aiops=128 --preallocate_file_mb=0
            --uid=root --gid=root --seccomp=none --fileage_sec=60 --filesize_mb=4096)
        ;;
    taploop) command=("$taploop" record -i tlb-b --data "$2/data" --max-bytes "${TAPLOOP_BYTES:-40GB}" --min-free 1GB) ;;
    *) echo "bench: no recorder is called $1: ONLY takes tcpdump, dumpcap, netsniff-ng, stenotype, taploop" >&2 && exit 1 ;;
    esac
}
kept_by() { # kept_by RECORDER FOLDER: packets in what it wrote
    case $1 in
    stenotype) # blocks of 1 MiB as the kernel filled them; the fourth word of each is its number of packets
        find "$2/t/PKT0" -type f -exec cat {} + |
            perl -e 'binmode STDIN; while ((read STDIN, $b, 1 << 20) >= 48) { $n += unpack "x12 V", $b } print $n + 0'
        ;;
    taploop)
        "$taploop" cut --data "$2/data" -w "$2/cut.pcapng" 2>"$2/cut.log" || true
        packets_in "$2/cut.pcapng"
        ;;
    *) packets_in "$2"/o.pcap* ;;
    esac
}

# Starts a recorder on core 1, in the group where a quota holds, and sets `timer` (who measures it) and `recorder` (itself).
start() { # start RECORDER FOLDER
    command_of "$1" "$2"
    local enter=()
    ((quota == 0)) || enter=(sh -c "echo \$\$ >$group/cgroup.procs && exec \"\$@\"" sh)
    /usr/bin/time -q -f '%U %S %M' -o "$2/time" "${enter[@]}" taskset -c 1 ip netns exec $rec "${command[@]}" >"$2/log" 2>&1 &
    timer=$!
    sleep 1.5
    recorder=$(cat "/proc/$timer/task/$timer/children" 2>/dev/null || true)
    recorder=${recorder// /}
    [[ -n $recorder ]] || failed "$1" "$2" "did not start"
}
failed() {
    echo "bench: $1 $3:" >&2
    tail -n 5 "$2/log" >&2
    exit 1
}
stop() { # stop RECORDER FOLDER: tells it to end and waits; sets `cpu` and `rss` (KiB); status 1 where it had ended before
    local early=0 i most=$STOP_MAX
    if [[ $1 == stenotype ]]; then
        # It fails on a link that has gone quiet.
        most=$((STOP_MAX / 6))
        ip netns exec $gen "$send" --interface tlb-a "${small[@]}" --packets 1 --tail $((STOP_MAX + 10)) >/dev/null 2>&1 &
        nudger=$!
        sleep 0.2
    fi
    kill -INT "$recorder" 2>/dev/null || early=1
    for ((i = 0; i < most * 10; i++)); do
        kill -0 "$timer" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$timer" 2>/dev/null; then
        say "$1 did not end within $most s and is killed"
        kill -9 "$recorder" 2>/dev/null || true
    fi
    wait "$timer" 2>/dev/null || true
    [[ -z $nudger ]] || { kill "$nudger" 2>/dev/null || true; wait "$nudger" 2>/dev/null || true; }
    timer='' recorder='' nudger=''
    read -r user sys rss < <(tail -n 1 "$2/time")
    cpu=$(awk -v u="$user" -v s="$sys" 'BEGIN { print u + s }')
    return $early
}
emit() { # emit OPTIONS...: sends from core 0, of which it has the first right; sets `sent` and `pps`
    nice -n -10 taskset -c 0 ip netns exec $gen "$send" --interface tlb-a --lead $LEAD --tail $TAIL "$@" >"$work/sent" &
    sender=$!
    wait $sender
    sender=''
    read -r sent pps <"$work/sent"
}

# One run of one recorder; appends to FILE: CPU s/M, kernel threads' CPU s/M, sync ms, pps, arrived, kept, peak MiB,
# times throttled, ms to end, arrived while it ended.
once() { # once RECORDER FILE SEND-OPTIONS...
    local name=$1 file=$2 dir=$work/run before after held=0 writing arrived late lost_on_link
    shift 2
    rm -rf "$dir"
    mkdir "$dir"
    sync
    writing=$(writers) arrived=$(link_stat $rec tlb-b rx_packets)
    ((quota == 0)) || held=$(throttled)
    start "$name" "$dir"
    emit "$@"
    arrived=$(($(link_stat $rec tlb-b rx_packets) - arrived)) late=$(link_stat $rec tlb-b rx_packets)
    before=$(now_us)
    stop "$name" "$dir" || say "$name ended on its own: $(tail -n 1 "$dir/log")"
    after=$(now_us)
    sync
    local synced
    synced=$(now_us)
    writing=$(awk -v a="$writing" -v b="$(writers)" 'BEGIN { print (b > a ? b - a : 0) }')
    ((quota == 0)) || held=$(($(throttled) - held))
    late=$(($(link_stat $rec tlb-b rx_packets) - late))
    # What the link itself did not carry is nobody's loss.
    lost_on_link=$((sent - arrived))
    ((lost_on_link == 0)) || say "the link did not carry $lost_on_link of $sent"
    local kept
    kept=$(kept_by "$name" "$dir")
    echo "$(of "$cpu" "$arrived") $(of "$writing" "$arrived") $(((synced - after) / 1000)) $pps $arrived $kept $((rss / 1024)) $held $(((after - before) / 1000)) $late" >>"$file"
    say "$name: $(tail -n 1 "$file")"
    rm -rf "$dir"
}
# All recorders in turn, ROUNDS times, and a table of the medians.
compare() { # compare TITLE SEND-OPTIONS...
    local title=$1 names name round file
    shift
    IFS=, read -ra names <<<"$ONLY"
    rm -rf "$work/rows"
    mkdir "$work/rows"
    for ((round = 1; round <= ROUNDS; round++)); do
        say "$title: round $round of $ROUNDS"
        for name in "${names[@]}"; do once "$name" "$work/rows/$name" "$@"; done
    done
    printf '\n%s:\n\n' "$title"
    printf '| recorder | CPU s per million packets | kernel threads, CPU s per million | sync | to end | packets/s | lost | peak memory | CPU, beside taploop |\n'
    printf '|---|---|---|---|---|---|---|---|---|\n'
    local ours=''
    [[ ! -e $work/rows/taploop ]] || ours=$(awk '{ print $1 }' "$work/rows/taploop" | middle)
    for name in "${names[@]}"; do
        file=$work/rows/$name
        column() { awk -v c="$1" '{ print $c }' "$file" | middle; }
        lost=$(awk '{ printf "%.6f\n", ($5 > 0 ? ($6 < $5 ? 100 * (1 - $6 / $5) : 0) : 100) }' "$file" | middle)
        more=$(awk '{ if ($6 > $5 + $10) print $6 - $5 - $10 }' "$file" | head -n 1)
        [[ -z $more ]] || say "NOT THE SAME ANSWER: $name has $more packets more than were sent"
        ((quota == 0)) || ! awk '$8 == 0 { bad = 1 } END { exit !bad }' "$file" || say "NOT THROTTLED: a run of $name under $quota % does not count"
        printf '| %s | %.2f | %.2f | %.0f ms | %.0f ms | %.0f | %.4g %% | %.0f MiB | %s |\n' "$name" "$(column 1)" "$(column 2)" "$(column 3)" \
            "$(column 9)" "$(column 4)" "$lost" "$(column 7)" "$([[ -z $ours ]] || ratio "$(column 1)" "$ours")"
    done
}
middle() { sort -g | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }

# How soon a packet is in a cut of another process, while the sender sends; the reader has core 0 too.
freshness() { # freshness TITLE SECONDS SELECTION SEND-OPTIONS...
    local title=$1 seconds=$2 selection=$3 dir=$work/run seen p50 p99 max cuts cut_ms again in_all
    shift 3
    rm -rf "$dir"
    mkdir "$dir"
    start taploop "$dir"
    # It reads until the tail has arrived.
    # shellcheck disable=SC2086
    taskset -c 0 "$fresh" --taploop "$taploop" --data "$dir/data" --out "$dir/fresh.pcap" --seconds "$((seconds + LEAD + TAIL + 2))" $selection >"$dir/fresh" 2>&1 &
    local reader=$!
    emit "$@"
    wait $reader || failed "the reader" "$dir" "gave up ($(tail -n 1 "$dir/fresh"))"
    stop taploop "$dir" || true
    read -r seen p50 p99 max cuts cut_ms again <"$dir/fresh"
    ((again == 0)) || say "$again packets came twice: a cut without an end gives packets past its complete_to"
    # shellcheck disable=SC2086
    "$taploop" cut --data "$dir/data" $selection -w "$dir/cut.pcapng" 2>"$dir/cut.log" || true
    in_all=$(packets_in "$dir/cut.pcapng")
    [[ $seen == "$in_all" ]] || say "NOT THE SAME ANSWER: the reader saw $seen packets, the ring has $in_all"
    printf '| %s | %s | %s | %s ms | %s ms | %s ms | %s | %s ms |\n' "$title" "$pps" "$seen" "$p50" "$p99" "$max" "$cuts" "$cut_ms"
    rm -rf "$dir"
}

# Resident memory of taploop every few seconds while it records, its mapped kernel buffer of 64 MiB included.
memory() { # memory TITLE SEND-OPTIONS...
    local title=$1 dir=$work/run every all=() at
    shift
    rm -rf "$dir"
    mkdir "$dir"
    start taploop "$dir"
    every=$(awk -v s="$SECONDS_MEMORY" 'BEGIN { print s / 6 }')
    { while sleep "$every"; do awk '/^VmRSS/ { printf "%.0f\n", $2 / 1024 }' "/proc/$recorder/status" 2>/dev/null || break; done >"$dir/memory"; } &
    local watcher=$!
    emit "$@"
    kill $watcher 2>/dev/null || true
    wait $watcher 2>/dev/null || true
    stop taploop "$dir" || say "taploop ended on its own: $(tail -n 1 "$dir/log")"
    mapfile -t all <"$dir/memory"
    at="${all[*]}"
    printf '| %s | %s | %s | %s MiB | %s |\n' "$title" "$pps" "${at// /, }" "$((rss / 1024))" "$(tail -n 1 "$dir/log" | tr '|' ' ')"
    rm -rf "$dir"
}

make() { # make FILE OPTIONS...
    say "making a capture ${*:2}"
    ${TRAFFIC:-cargo bench --locked --quiet --bench traffic --} --packets $CAPTURE_PACKETS --flows $FLOWS --out "$work/$1" "${@:2}" 2>&1 | grep packets >&2
}
make mixed.pcap
make small.pcap --size 60
mixed=(--file "$work/mixed.pcap") small=(--file "$work/small.pcap")
rate=(--rate "$RATE" --packets "$PACKETS")
made_on "$PACKETS packets a run; median of $ROUNDS"
for part in $PARTS; do
    case $part in
    mixed) compare "Mixed sizes, $RATE packets a second asked for" "${mixed[@]}" "${rate[@]}" ;;
    small) compare "60 bytes, $RATE packets a second asked for" "${small[@]}" "${rate[@]}" ;;
    top)
        compare "Mixed sizes, as fast as the sender can" "${mixed[@]}" --packets "$PACKETS"
        compare "60 bytes, as fast as the sender can" "${small[@]}" --packets "$PACKETS"
        ;;
    quota)
        for quota in $QUOTAS; do
            hold "$quota"
            compare "Mixed sizes, $QUOTA_RATE packets a second asked for, the recorder held to $quota % of a core" "${mixed[@]}" \
                --rate "$QUOTA_RATE" --packets "$PACKETS"
        done
        quota=0
        ;;
    fresh)
        printf '\nFrom arrival to the end of the first cut that has the packet (one host of the mixed traffic; all packets of a slow link):\n\n'
        printf '| load | packets/s | packets seen | median | 99 %% | longest | cuts | a cut, median |\n|---|---|---|---|---|---|---|---|\n'
        freshness "mixed sizes" "$SECONDS_FRESH" "--ip 10.77.0.1" "${mixed[@]}" --rate "$RATE" --packets $((RATE * SECONDS_FRESH))
        # Here no trickle before and after, which would be most of it.
        LEAD=0 TAIL=0
        freshness "one packet a second" "$SECONDS_SLOW" "" "${mixed[@]}" --rate 1 --packets "$SECONDS_SLOW"
        LEAD=2 TAIL=3
        ;;
    memory)
        printf '\nResident memory of taploop, its mapped kernel buffer of 64 MiB included, in a ring of 4 GB:\n\n'
        printf '| load | packets/s | MiB, every %s s | at most | what it says |\n|---|---|---|---|---|\n' "$(awk -v s="$SECONDS_MEMORY" 'BEGIN { print s / 6 }')"
        TAPLOOP_BYTES=4GB
        memory "mixed sizes" "${mixed[@]}" --rate "$RATE" --packets $((RATE * SECONDS_MEMORY))
        memory "60 bytes, each packet a flow of its own" "${small[@]}" --new-flows --rate "$RATE" --packets $((RATE * SECONDS_MEMORY))
        unset TAPLOOP_BYTES
        ;;
    *) echo "bench: no part is called $part: PARTS takes mixed, small, top, quota, fresh, memory" >&2 && exit 1 ;;
    esac
done
