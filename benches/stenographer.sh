#!/usr/bin/env bash
# One host's packets out of stenographer and out of Taploop, on the same traffic. Needs root: stenographer records what it sees, so the traffic
# is sent past it in two network namespaces of our own, and asked for over HTTPS on loopback inside one of them.
# Installs what it lacks (Debian packages stenographer, tcpreplay, iproute2, curl, openssl).
# HOST_PACKETS: how many packets the host has (2,000). The traffic is 1 GiB unless GIB says otherwise.
GIB=${GIB:-1}
source "$(dirname "$0")/lib.sh"
((EUID == 0)) || { echo "bench: stenographer.sh needs root" >&2; exit 1; }
dev/setup.sh build bench stenographer
PATH=$PATH:/usr/sbin
MBPS=${MBPS:-400}
gen=taploop-bench-gen rec=taploop-bench-rec
pids=()
stop_recording() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    # What records is a child of stenographer, and outlives it.
    ip netns pids $rec 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    pids=()
}
stop_all() {
    stop_recording
    ip netns del $gen 2>/dev/null || true
    ip netns del $rec 2>/dev/null || true
    cleanup
}
trap stop_all EXIT

traffic "$GIB" "$work/t.pcap" --host-packets "${HOST_PACKETS:-2000}"

ip netns add $gen
ip netns add $rec
ip link add tlb-a netns $gen type veth peer name tlb-b netns $rec
for side in "$gen tlb-a 10.200.0.1" "$rec tlb-b 10.200.0.2"; do
    read -r space device address <<<"$side"
    ip netns exec "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip -n "$space" link set lo up
    ip -n "$space" addr add "$address/24" dev "$device"
    ip -n "$space" link set "$device" up
done

# Certificates for one server and one client, both on loopback.
certs=$work/certs
mkdir "$certs"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench-ca -keyout "$certs/ca_key.pem" -out "$certs/ca_cert.pem" 2>/dev/null
for end in server client; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" -keyout "$certs/${end}_key.pem" -out "$certs/$end.csr" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%sAuth\n' "$end" >"$certs/$end.ext"
    openssl x509 -req -in "$certs/$end.csr" -CA "$certs/ca_cert.pem" -CAkey "$certs/ca_key.pem" -CAcreateserial -days 2 \
        -extfile "$certs/$end.ext" -out "$certs/${end}_cert.pem" 2>/dev/null
done
mkdir -p "$work/packets" "$work/index"
cat >"$work/config" <<END
{ "Threads": [{ "PacketsDirectory": "$work/packets", "IndexDirectory": "$work/index", "MaxDirectoryFiles": 30000, "DiskFreePercentage": 1 }],
  "StenotypePath": "$(command -v stenotype)", "Interface": "tlb-b", "Port": 1234, "Host": "127.0.0.1", "CertPath": "$certs",
  "Flags": ["--uid=root", "--gid=root", "--seccomp=none", "--blocks=256", "--aiops=128", "--preallocate_file_mb=0", "--filesize_mb=4096", "--fileage_sec=60"] }
END
ip netns exec $rec stenographer -config="$work/config" -syslog=false >"$work/steno.log" 2>&1 &
pids+=($!)
sleep 3
# It gives up on a quiet link, and answers only from files that it has finished: something must trickle until the next file is begun.
ip netns exec $gen ping -q -i 0.2 10.200.0.2 >/dev/null &
pids+=($!)
say "sending at $MBPS Mbit/s"
ip netns exec $gen tcpreplay -q -K --mbps="$MBPS" -i tlb-a "$work/t.pcap" >"$work/replay.log" 2>&1
say "sent; waiting for stenographer to finish its files"
finished() { find "$work/packets" -type f ! -name '.*' | wc -l; }
ask() {
    ip netns exec $rec curl --silent --show-error --max-time 60 --cert "$certs/client_cert.pem" --key "$certs/client_key.pem" --cacert "$certs/ca_cert.pem" \
        -o "$work/steno.pcap" -w '%{time_starttransfer} %{time_total}\n' -d 'host 10.77.0.1' https://127.0.0.1:1234/query
}
have=$(finished)
for ((i = 0; i < 90 && $(finished) < have + 2; i++)); do sleep 2; done
first=() total=()
ask >/dev/null || true # warm
for ((i = 0; i < RUNS; i++)); do
    rm -f "$work/steno.pcap"
    answer=$(ask) || {
        echo "bench: stenographer does not answer:" >&2
        tail -n 5 "$work/steno.log" >&2
        exit 1
    }
    read -r a b <<<"$answer"
    first+=("$(awk -v s="$a" 'BEGIN { printf "%.0f", s * 1e6 }')")
    total+=("$(awk -v s="$b" 'BEGIN { printf "%.0f", s * 1e6 }')")
done
theirs=$(packets_in "$work/steno.pcap")
peer=$(printf '%s\n' "${total[@]}" | median) peer_first=$(printf '%s\n' "${first[@]}" | median)
stop_recording # it writes on the same disk

run "$taploop" import --data "$work/data" "$work/t.pcap"
sync # or the kernel writes back what was imported while the cut is measured
medians "$taploop" --version
start=$took
run "$taploop" cut --data "$work/data" --ip 10.77.0.1 -w "$work/ours.pcapng"
ours=$(packets_in "$work/ours.pcapng")
out=$work/ours.pcapng
medians "$taploop" cut --data "$work/data" --ip 10.77.0.1 -w "$out"
machine
row "all packets of one host, warm ($ours packets); stenographer over HTTPS ($theirs packets), first byte $(ms "$peer_first"); whole process" \
    "$(ms "$took")" "$(ms "$peer")" "$(ratio "$peer" "$took")" ""
row "the same, start-up apart" "$(ms $((took > start ? took - start : 1)))" "$(ms "$peer")" "$(ratio "$peer" $((took > start ? took - start : 1)))" "5 at least"
rm -f "$out"
stats "Taploop's part" "$taploop" cut --data "$work/data" --ip 10.77.0.1 -w "$work/ours.pcapng" --stats
