#!/usr/bin/env bash
# Files out of captures: `taploop objects --export-dir` beside tshark's export, Suricata's file store (where suricata is installed) and a SHA-256 of the
# capture file, in turn; then general traffic. The captures are made first: smbd in one network namespace, smbclient in another, at frames of
# MTU size. Needs root, and some five times MIB on the disk. Installs what it lacks (dev/setup.sh bench objects).
# MIB: of each of the two captures of large files (440). FILES: in the capture of small files (5,000). GIB: of general traffic (2).
# RUNS: rounds of which medians are taken (5). PARTS: some of "1500 9000 small traffic".
source "$(dirname "$0")/lib.sh"
MIB=${MIB:-440} FILES=${FILES:-5000} PARTS=${PARTS:-1500 9000 small traffic}
BUFFER_KIB=262144 # of tcpdump: what it may lag behind
((EUID == 0)) || { echo "bench: objects.sh needs root" >&2; exit 1; }
dev/setup.sh build bench objects
PATH=$PATH:/usr/sbin:/sbin
near=taploop-bench-srv far=taploop-bench-cli
server='' dump=''

stop_all() {
    local space pid
    # With unshare goes the server's PID namespace, and all in it.
    for pid in $dump $server; do kill -9 "$pid" 2>/dev/null || true; done
    for space in $near $far; do
        ip netns pids $space 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del $space 2>/dev/null || true
    done
    cleanup
}
trap stop_all EXIT
trap 'exit 130' INT TERM

link() { # link MTU: two namespaces and what joins them
    local mtu=$1 space device address
    ip netns add $near
    ip netns add $far
    ip link add tlo-s netns $near type veth peer name tlo-c netns $far
    for side in "$near tlo-s 10.78.0.1/24" "$far tlo-c 10.78.0.2/24"; do
        read -r space device address <<<"$side"
        ip netns exec "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
        ip -n "$space" link set lo up
        ip -n "$space" addr add "$address" dev "$device"
        ip -n "$space" link set "$device" mtu "$mtu" up
        # Without these, frames of 64 KiB would be recorded.
        ip netns exec "$space" ethtool -K "$device" tso off gso off gro off >/dev/null 2>&1 || true
    done
}
serve() { # serve FOLDER: a server with all that it writes in FOLDER/state
    local state=$1/state i
    mkdir -p "$state"
    echo '!root = appadmin' >"$state/users"
    cat >"$state/smb.conf" <<EOF
[global]
server role = standalone server
workgroup = CORP
netbios name = FILESRV
bind interfaces only = yes
interfaces = tlo-s
private dir = $state
lock directory = $state
state directory = $state
cache directory = $state
pid directory = $state
ncalrpc dir = $state/ncalrpc
log file = $state/log
passdb backend = smbpasswd:$state/smbpasswd
username map = $state/users
disable spoolss = yes
load printers = no
[jobs]
path = $1/share
read only = no
force user = root
EOF
    printf 'S3cret!pw\nS3cret!pw\n' | smbpasswd -c "$state/smb.conf" -s -a root >"$log" 2>&1
    ip netns exec $near unshare --pid --mount-proc --kill-child smbd --foreground --configfile "$state/smb.conf" </dev/null >"$log" 2>&1 &
    server=$!
    for ((i = 0; i < 200; i++)); do
        ip netns exec $far bash -c 'exec 3<>/dev/tcp/10.78.0.1/445' 2>/dev/null && return
        kill -0 $server 2>/dev/null || break
        sleep 0.1
    done
    echo "bench: smbd does not answer:" >&2
    tail -n 5 "$log" "$state/log" >&2
    exit 1
}
client() { # client COMMANDS
    ip netns exec $far smbclient //10.78.0.1/jobs --configfile /dev/null -U 'CORP\appadmin%S3cret!pw' -m SMB3_11 -c "$1" >>"$work/client" 2>&1 || {
        echo "bench: smbclient failed:" >&2
        tail -n 5 "$work/client" >&2
        exit 1
    }
}
files() { # files FOLDER COUNT LEAST MOST: of random bytes and such a length
    mkdir -p "$1"
    perl -e 'my ($d, $n, $a, $b) = @ARGV; srand 11; open R, "<:raw", "/dev/urandom" or die;
        for my $i (1 .. $n) {
            my $left = $a + int rand($b - $a + 1);
            open F, ">:raw", sprintf("%s/%05d.bin", $d, $i) or die;
            while ($left > 0) { my $got = read R, my $x, ($left < 1 << 20 ? $left : 1 << 20) or die; print F $x or die; $left -= $got }
            close F or die;
        }' "$@"
}
record() { # record NAME MTU COUNT LEAST MOST: makes $work/NAME.pcap and $work/NAME.truth, the contents' hashes
    local dir=$work/$1 until
    say "recording $3 files of $4 to $5 bytes at an MTU of $2"
    mkdir -p "$dir/share/in"
    files "$dir/put" $(($3 / 2)) "$4" "$5"
    files "$dir/share/out" $(($3 - $3 / 2)) "$4" "$5"
    mkdir "$dir/got"
    link "$2"
    serve "$dir"
    ip netns exec $near tcpdump -i tlo-s -n -Z root -B $BUFFER_KIB -s 262144 -w "$work/$1.pcap" 2>"$dir/tcpdump" &
    dump=$!
    for ((until = 0; until < 100; until++)); do
        grep -q 'listening on' "$dir/tcpdump" && break
        sleep 0.1
    done
    # One connection writes, while the other reads.
    client "prompt OFF; lcd $dir/put; cd in; mput *" &
    local writer=$!
    client "prompt OFF; lcd $dir/got; cd out; mget *"
    wait $writer
    sleep 2 # tcpdump gets the last packets late
    kill -INT $dump
    wait $dump || true
    dump=''
    kill -9 $server
    wait $server 2>/dev/null || true
    server=''
    ip netns del $near
    ip netns del $far
    grep -q '^0 packets dropped by kernel' "$dir/tcpdump" || { echo "bench: tcpdump lost packets of $1: $(grep dropped "$dir/tcpdump")" >&2 && exit 1; }
    diff -rq "$dir/put" "$dir/share/in" >&2 && diff -rq "$dir/got" "$dir/share/out" >&2 || { echo "bench: smbclient did not move the files of $1" >&2 && exit 1; }
    hashes "$dir/put" "$dir/share/out" >"$work/$1.truth"
}
hashes() { find "$@" -type f ! -name manifest.json ! -name '*.partial' -print0 | xargs -0r sha256sum | cut -d' ' -f1 | sort; }

# Where suricata is installed: one thread, no rules, every file stored with its SHA-256.
cat >"$work/suricata.yaml" <<EOF
%YAML 1.1
---
default-log-dir: $work/out.suricata
outputs:
  - file-store: { version: 2, enabled: yes, dir: filestore, force-filestore: yes, stream-depth: 0 }
app-layer: { protocols: { smb: { enabled: yes, detection-ports: { dp: "139, 445" }, stream-depth: 0 } } }
stream: { memcap: 1gb, reassembly: { memcap: 2gb, depth: 0 } }
stats: { enabled: no }
EOF
command_of() { # command_of TOOL FILE OUT: sets `command`
    case $1 in
    taploop) command=("$taploop" objects "$2" --export-dir "$3") ;;
    tshark) command=(tshark -q -r "$2" --export-objects "smb,$3") ;;
    suricata) command=(suricata --runmode single -r "$2" -c "$work/suricata.yaml" -l "$3" -S /dev/null -k none) ;;
    openssl) command=(openssl dgst -sha256 "$2") ;;
    esac
}
timed() { # timed COMMAND...: as `run`, and sets `cpu` (seconds)
    local before=$EPOCHREALTIME after user sys
    status=0
    /usr/bin/time -q -f '%M %U %S' -o "$work/time" "$@" >"$work/stdout" 2>"$log" || status=$?
    after=$EPOCHREALTIME
    took=$((${after/./} - ${before/./}))
    read -r rss user sys < <(tail -n 1 "$work/time")
    cpu=$(awk -v u="$user" -v s="$sys" 'BEGIN { print u + s }')
    if ((status != 0 && status != 3 && status != 4)); then
        echo "bench: status $status from: $*" >&2
        tail -n 5 "$log" >&2
        exit 1
    fi
}
# The most memory that a command holds but for mapped files, in KiB: looked at while it runs, apart from the runs that are timed.
unmapped_peak() { # unmapped_peak COMMAND...
    "$@" >/dev/null 2>"$log" &
    local pid=$! peak=0 now
    while now=$(awk '/^Rss(Anon|Shmem):/ { n += $2 } END { print n + 0 }' "/proc/$pid/status" 2>/dev/null); do
        ((now <= peak)) || peak=$now
        sleep 0.002
    done
    wait $pid || true
    echo $peak
}
column() { awk -v c="$1" '{ print $c }' "$2"; }

tools=(taploop tshark openssl)
! command -v suricata >/dev/null || tools=(taploop tshark suricata openssl)
summary=()
compare() { # compare NAME TITLE BAR
    local file=$work/$1.pcap title=$2 bar=$3 tool round right wrong of peak out rows=$work/rows
    of=$(wc -l <"$work/$1.truth")
    rm -rf "$rows"
    mkdir "$rows"
    cat "$file" >/dev/null # into the page cache
    for ((round = 1; round <= RUNS; round++)); do
        for tool in "${tools[@]}"; do
            out=$work/out.$tool
            rm -rf "$out"
            mkdir "$out"
            command_of "$tool" "$file" "$out"
            timed "${command[@]}"
            right=- wrong=-
            if [[ $tool != openssl ]]; then
                hashes "$out" | grep -vx e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 | sort -u >"$work/found" || true
                right=$(comm -12 "$work/found" "$work/$1.truth" | wc -l) wrong=$(comm -23 "$work/found" "$work/$1.truth" | wc -l)
            fi
            # ext4 passes by inodes that were freed of late, one by one: thousands of files removed now would slow down who comes next.
            if ((of > 100)); then mv "$out" "$work/$1/$tool.$round"; else rm -rf "$out"; fi
            echo "$took $cpu $rss $right $wrong" >>"$rows/$tool"
            say "$title, round $round of $RUNS: $tool: $(tail -n 1 "$rows/$tool")"
        done
    done
    local ours theirs ossl
    ours=$(column 1 "$rows/taploop" | median) theirs=$(column 1 "$rows/tshark" | median) ossl=$(column 1 "$rows/openssl" | median)
    printf '\n%s: %s, %s packets, %s files:\n\n' "$title" "$(mib "$(stat -c %s "$file")")" "$(packets_in "$file")" "$of"
    printf '| program | time | beside taploop | CPU | peak memory | contents right | other contents |\n|---|---|---|---|---|---|---|\n'
    for tool in "${tools[@]}"; do
        printf '| %s | %s | %s | %.2f s | %s | %s | %s |\n' "$tool" "$(ms "$(column 1 "$rows/$tool" | median)")" \
            "$(ratio "$(column 1 "$rows/$tool" | median)" "$ours")" "$(column 2 "$rows/$tool" | sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }')" \
            "$(mib $(($(column 3 "$rows/$tool" | sort -n | tail -n 1) * 1024)))" "$(column 4 "$rows/$tool" | sort -g | head -n 1)" \
            "$(column 5 "$rows/$tool" | sort -g | tail -n 1)"
    done
    out=$work/out.taploop
    command_of taploop "$file" "$out"
    peak=$(unmapped_peak "${command[@]}")
    rm -rf "$out" "$file" "${work:?}/$1"
    right=$(column 4 "$rows/taploop" | sort -n | head -n 1) wrong=$(column 5 "$rows/taploop" | sort -n | tail -n 1)
    [[ $right == "$of" && $wrong == 0 ]] || say "NOT THE SAME ANSWER: $right of $of contents right, $wrong others"
    summary+=("$(row "$title, tshark's export" "$(ms "$ours")" "$(ms "$theirs")" "$(ratio "$theirs" "$ours")" "$bar")")
    summary+=("$(row "$title, SHA-256 of the capture (openssl)" "$(ms "$ours")" "$(ms "$ossl")" "$(ratio "$ours" "$ossl")" "${bar:+1.5 at most}")")
    summary+=("$(row "$title, peak memory but for mapped files" "$(mib $((peak * 1024)))" "" "" "256 MiB at most")")
}
general() { # general FILE: what most traffic costs that has no SMB
    local packets words round took_all cpu_all
    packets=$(packets_in "$1")
    for words in "events --type conn" "objects"; do
        took_all=() cpu_all=()
        for ((round = 0; round < RUNS; round++)); do
            # shellcheck disable=SC2086
            timed "$taploop" ${words%% *} "$1" --json $([[ $words != *" "* ]] || echo "${words#* }")
            took_all+=("$took") cpu_all+=("$(awk -v c="$cpu" 'BEGIN { printf "%.0f", c * 1e6 }')")
        done
        took=$(printf '%s\n' "${took_all[@]}" | median) cpu=$(printf '%s\n' "${cpu_all[@]}" | median)
        summary+=("$(row "$packets packets of general traffic, \`$words\`: a second; a second of CPU time" "$(awk -v n="$packets" -v t="$took" 'BEGIN { printf "%.2f million", n / t }')" "" \
            "$(awk -v n="$packets" -v t="$cpu" 'BEGIN { printf "%.2f million", n / t }')" "1 million at least")")
        summary+=("$(row "the same, peak memory" "$(mib $((rss * 1024)))" "" "" "256 MiB at most")")
    done
}

made_on "median of $RUNS"
for part in $PARTS; do
    case $part in
    1500 | 9000)
        # Four files; what the headers take comes on top.
        record "$part" "$part" 4 $((MIB * 262144)) $((MIB * 262144))
        compare "$part" "Large files at an MTU of $part" "$([[ $part == 1500 ]] && echo 20 || echo 5) at least"
        ;;
    small)
        record small 1500 "$FILES" 1024 20480
        compare small "Small files" ""
        ;;
    traffic)
        traffic "$GIB" "$work/traffic.pcap"
        cat "$work/traffic.pcap" >/dev/null
        general "$work/traffic.pcap"
        rm "$work/traffic.pcap"
        ;;
    *) echo "bench: no part is called $part: PARTS takes 1500, 9000, small, traffic" >&2 && exit 1 ;;
    esac
done
printf '\n| figure | taploop | beside it | ratio | bar |\n|---|---|---|---|---|\n'
printf '%s\n' "${summary[@]}"
